-- Takes ends off a follower's list that it has worked off.
-- service: the leader follows runs of all tenants.
DELETE FROM scheduler.run_ends e
 WHERE e.follower = $1
   AND e.id = ANY ($2::bigint[])
