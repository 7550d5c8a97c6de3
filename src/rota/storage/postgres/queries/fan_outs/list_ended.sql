-- Runs all of whose segments have ended, to be settled under their tokens.
-- service: the leader serves all tenants.
SELECT f.run_id::text AS run_id, f.token, f.items_total, f.succeeded_count, f.failed_count, f.cancelled_count,
       f.tolerated_failures, f.timeout_seconds, f.stopped
  FROM scheduler.fan_outs f
 WHERE f.succeeded_count + f.failed_count + f.cancelled_count = f.segments_count
 ORDER BY f.run_id
 LIMIT $1
