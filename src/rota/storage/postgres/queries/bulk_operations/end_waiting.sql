-- The records of the waiting ones of a batch, whose live rows are held: written before these go, since followers read them.
UPDATE scheduler.runs r
   SET state = 'cancelled', reason = $4, attempts_count = x.attempts_count, finished_at = c.now
  FROM (SELECT scheduler.current_time() AS now) AS c
 CROSS JOIN unnest($2::uuid[], $3::integer[]) AS x (run_id, attempts_count)
 WHERE r.tenant_id = $1
   AND r.id = x.run_id
