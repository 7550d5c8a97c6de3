-- Who did what, in the transaction of the change. $1 tenant_id, or NULL for the platform.
INSERT INTO scheduler.audit (id, tenant_id, at, actor, verb, resource, resource_id, request_id)
SELECT scheduler.uuid7_at(clock.at), $1, clock.at, $2, $3, $4, $5, $6
  FROM (SELECT scheduler.current_time() AS at) AS clock
