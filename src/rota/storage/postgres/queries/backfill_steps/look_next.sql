-- When a backfill has more to do, from the store's time.
-- service: the leader serves all tenants.
SELECT extract(epoch FROM b.resume_at - (SELECT scheduler.current_time()))::float8 AS in_seconds
  FROM scheduler.backfills b
 WHERE b.resume_at IS NOT NULL
 ORDER BY b.resume_at
 LIMIT 1
