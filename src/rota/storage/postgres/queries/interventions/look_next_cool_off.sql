-- How long the leader may sleep: one look at the end of an index, whatever the number of schedules.
-- service: the leader watches all tenants.
SELECT extract(epoch FROM s.cool_off_until - (SELECT scheduler.current_time()))::float8 AS in_seconds
  FROM scheduler.schedules s
  JOIN scheduler.tenants t ON t.id = s.tenant_id AND t.revoked_at IS NULL
 WHERE s.cool_off_until IS NOT NULL
   AND s.deleted_at IS NULL
 ORDER BY s.cool_off_until
 LIMIT 1
