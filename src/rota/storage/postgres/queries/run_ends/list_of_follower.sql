-- The ends that a follower has not worked off, in the order in which they were told.
-- service: the leader follows runs of all tenants.
SELECT e.id, e.tenant_id, e.run_id::text AS run_id, e.state, e.ended_at
  FROM scheduler.run_ends e
 WHERE e.follower = $1
 ORDER BY e.follower, e.id
 LIMIT $2
