-- What is set for a tenant, and for all.
SELECT f.name, f.tenant_id, f.enabled, f.reason, f.changed_at, f.changed_by
  FROM scheduler.flags f
 WHERE f.tenant_id = $1
 UNION ALL
SELECT p.name, NULL, p.enabled, p.reason, p.changed_at, p.changed_by
  FROM scheduler.platform_flags p
 ORDER BY name
