-- What is set for all tenants, and how many tenants have switched each flag off for themselves; a hundred of them by name.
-- service: the platform sees whose flags are off.
SELECT coalesce(p.name, t.name) AS name, p.enabled, p.reason, p.changed_at, p.changed_by,
       coalesce(t.tenants_count, 0) AS tenants_off_count, coalesce(t.tenants, '{}') AS tenants_off
  FROM scheduler.platform_flags p
  FULL JOIN (SELECT f.name, count(*) AS tenants_count, (array_agg(f.tenant_id ORDER BY f.tenant_id))[1:100] AS tenants
               FROM scheduler.flags f
              WHERE NOT f.enabled
              GROUP BY f.name) AS t ON t.name = p.name
 ORDER BY 1
