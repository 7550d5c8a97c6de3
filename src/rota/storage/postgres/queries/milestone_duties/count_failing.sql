-- What alerts go by; each count looks at 10,000 rows at most, the newest first.
-- service: the leader serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
)
SELECT (SELECT count(*)
          FROM (SELECT
                  FROM scheduler.milestones m
                 WHERE m.backoff_until > (SELECT c.now + interval '2 hours' FROM clock c)
                 ORDER BY m.backoff_until
                 LIMIT 10000) AS waiting) AS backing_off_long_count,
       count(*) AS ended_count,
       count(*) FILTER (WHERE e.failed) AS failed_count
  FROM (SELECT m.last_error IS NOT NULL AS failed
          FROM scheduler.milestones m
         WHERE m.last_run_at > (SELECT c.now - interval '24 hours' FROM clock c)
         ORDER BY m.last_run_at DESC
         LIMIT 10000) AS e
