-- Schedules whose cool-off has ended, held; one that somebody is changing is left for later. They are read after this.
-- service: the leader watches all tenants.
SELECT s.id::text AS id, s.tenant_id
  FROM scheduler.schedules s
  JOIN scheduler.tenants t ON t.id = s.tenant_id AND t.revoked_at IS NULL
 WHERE s.cool_off_until <= (SELECT scheduler.current_time())
   AND s.deleted_at IS NULL
 ORDER BY s.cool_off_until
 LIMIT $1
   FOR UPDATE OF s SKIP LOCKED
