-- All tries of a run: those that failed, then the one that is open or succeeded.
SELECT a.attempt_no, a.worker_id::text AS worker_id, a.started_at, a.finished_at, a.outcome, a.error
  FROM scheduler.attempts a
 WHERE a.tenant_id = $1
   AND a.run_id = $2
 UNION ALL
SELECT r.attempts_count, r.worker_id::text, r.started_at, r.finished_at,
       CASE WHEN r.state = 'succeeded' THEN 'succeeded' END, NULL
  FROM scheduler.run_records r
 WHERE r.tenant_id = $1
   AND r.id = $2
   AND r.state IN ('running', 'succeeded')
 ORDER BY 1
