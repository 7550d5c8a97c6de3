-- Records that terminal runs were cloned, in the transaction that stores the clones.
INSERT INTO scheduler.events (id, tenant_id, at, type, subject, actor, data)
SELECT scheduler.uuid7_at(c.now), $1, c.now, 'RunRetried', t.run_id, $4, jsonb_build_object('retried_as', t.clone_id)
  FROM (SELECT scheduler.current_time() AS now) AS c
 CROSS JOIN unnest($2::text[], $3::text[]) AS t (run_id, clone_id)
