-- Takes runs that were settled off the list of those that wait. One that was planned again meanwhile has another token.
-- service: the leader serves all tenants.
DELETE FROM scheduler.fan_outs f
 USING unnest($1::uuid[], $2::bigint[]) AS g (run_id, token)
 WHERE f.run_id = g.run_id
   AND f.token = g.token
