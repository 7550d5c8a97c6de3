-- Ends of a follower's runs, taken off its list by the transaction that acts on them. Who comes second waits, and finds them gone.
-- service: the leader follows runs of all tenants.
DELETE FROM scheduler.run_ends e
 WHERE e.follower = $1
   AND e.id = ANY (ARRAY(SELECT t.id FROM scheduler.run_ends t WHERE t.follower = $1 ORDER BY t.follower, t.id LIMIT $2))
RETURNING e.tenant_id, e.run_id::text AS run_id, e.state, e.ended_at
