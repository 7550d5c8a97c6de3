-- Ends are taken off in the transaction that acts on them.
-- service: the leader watches all tenants.
DELETE FROM scheduler.run_ends e
 WHERE e.follower = $1
   AND e.id IN (SELECT f.id FROM scheduler.run_ends f WHERE f.follower = $1 ORDER BY f.follower, f.id LIMIT $2)
RETURNING e.tenant_id, e.run_id::text AS run_id
