-- A tenant's live runs by state, and those that ended in the last hours. Runs are looked for among those born at most a
-- day before the window, since ids are ordered by birth and ends are not indexed.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
)
SELECT CASE WHEN l.state = 'queued' AND l.attempts_count = 0 AND l.due_at > c.now THEN 'scheduled' ELSE l.state END AS state,
       count(*) AS runs_count
  FROM (SELECT q.state, q.attempts_count, q.due_at
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
SELECT r.state, count(*)
  FROM scheduler.runs r
 CROSS JOIN clock c
 WHERE r.tenant_id = $1
   AND r.id >= scheduler.uuid7_floor((SELECT now FROM clock) - make_interval(hours => $2) - interval '1 day')
   AND r.finished_at > c.now - make_interval(hours => $2)
 GROUP BY 1
