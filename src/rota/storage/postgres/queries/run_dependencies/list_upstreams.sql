-- What a run waits or waited for, by which rule, with the states of these runs; one that is gone has its last one.
SELECT d.rule, d.upstream_id::text AS run_id, coalesce(u.state, d.upstream_state, 'succeeded') AS state
  FROM scheduler.run_dependencies d
  LEFT JOIN LATERAL (
       SELECT b.state FROM scheduler.run_records b WHERE b.tenant_id = $1 AND b.id = d.upstream_id OFFSET 0) AS u ON true
 WHERE d.tenant_id = $1
   AND d.run_id = $2
 ORDER BY d.upstream_id
