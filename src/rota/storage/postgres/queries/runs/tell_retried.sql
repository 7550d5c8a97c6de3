-- Records that a terminal run was cloned, in the transaction that stores the clone.
INSERT INTO scheduler.events (id, tenant_id, at, type, subject, actor, data)
SELECT scheduler.uuid7_at(c.now), $1, c.now, 'RunRetried', $2, $3, jsonb_build_object('retried_as', $4::text)
  FROM (SELECT scheduler.current_time() AS now) AS c
