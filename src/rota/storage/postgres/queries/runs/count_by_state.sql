-- A tenant's live runs by state, and those that ended from the beginning of an hour on: added up from summaries, with what is
-- not in them yet, so that its cost does not grow with history.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now,
           date_trunc('hour', scheduler.current_time() - make_interval(hours => $2), 'UTC') AS since
), ended AS (
    SELECT s.succeeded_count, s.failed_count, s.cancelled_count, s.skipped_count
      FROM scheduler.run_summaries s
     WHERE s.tenant_id = $1
       AND s.schedule_id IS NULL
       AND s.hour_id >= scheduler.uuid7_floor((SELECT since FROM clock))
     UNION ALL
    SELECT s.succeeded_count, s.failed_count, s.cancelled_count, s.skipped_count
      FROM (SELECT array_agg(d) AS deltas
              FROM scheduler.run_deltas d
             WHERE d.tenant_id = $1
               AND d.ended_at >= (SELECT since FROM clock)) AS a
     CROSS JOIN LATERAL scheduler.sums_of_deltas(a.deltas) AS s
     WHERE s.schedule_id IS NULL
)
SELECT CASE WHEN l.state = 'queued' AND l.attempts_count = 0 AND l.due_at > c.now THEN 'scheduled' ELSE l.state END AS state,
       count(*) AS runs_count
  FROM (SELECT q.state, q.attempts_count, coalesce(q.wanted_at, q.due_at) AS due_at
          FROM scheduler.live_runs q
         WHERE q.tenant_id = $1
           AND q.state = 'queued'
         UNION ALL
        SELECT w.state, w.attempts_count, w.due_at
          FROM scheduler.live_runs w
         WHERE w.tenant_id = $1
           AND w.worker_id IS NOT NULL) AS l
 CROSS JOIN clock c
 GROUP BY 1
 UNION ALL
SELECT x.state, sum(x.n)::bigint
  FROM ended e
 CROSS JOIN LATERAL (VALUES ('succeeded', e.succeeded_count), ('failed', e.failed_count), ('cancelled', e.cancelled_count),
                            ('skipped', e.skipped_count)) AS x (state, n)
 GROUP BY x.state
HAVING sum(x.n) > 0
