-- Who took unique keys last, and what has become of these runs: asked when the keys are locked, in a later snapshot.
SELECT k.key::text AS key, k.run_id::text AS run_id, k.taken_at, c.now,
       CASE WHEN EXISTS (SELECT FROM scheduler.live_runs q
                          WHERE q.tenant_id = $1 AND q.run_id = k.run_id AND q.state = 'queued') THEN 'queued'
            WHEN EXISTS (SELECT FROM scheduler.live_runs w
                          WHERE w.tenant_id = $1 AND w.run_id = k.run_id AND w.worker_id IS NOT NULL) THEN 'running'
            ELSE 'ended' END AS state
  FROM (SELECT scheduler.current_time() AS now) AS c
 CROSS JOIN unnest($2::uuid[]) AS u (key)
  JOIN scheduler.unique_keys k ON k.tenant_id = $1 AND k.key = u.key
