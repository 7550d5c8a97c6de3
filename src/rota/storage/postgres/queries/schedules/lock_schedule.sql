-- Lock first, then compare: the version read here stays true until the transaction ends.
-- $1 tenant_id, $2 id. Always taken before the triggers' rows.
SELECT s.version, s.enabled, t.revoked_at,
       EXISTS (SELECT FROM scheduler.calendar_uses u WHERE u.tenant_id = $1 AND u.schedule_id = s.id) AS uses_calendars
  FROM scheduler.schedules s
  JOIN scheduler.tenants t ON t.id = s.tenant_id
 WHERE s.tenant_id = $1 AND s.id = $2
   FOR UPDATE OF s
