-- Writes down which runs took unique keys, in the transaction that holds the keys.
UPDATE scheduler.unique_keys k
   SET run_id = t.run_id, taken_at = c.now
  FROM (SELECT scheduler.current_time() AS now) AS c
 CROSS JOIN unnest($2::uuid[], $3::uuid[]) AS t (key, run_id)
 WHERE k.tenant_id = $1
   AND k.key = t.key
