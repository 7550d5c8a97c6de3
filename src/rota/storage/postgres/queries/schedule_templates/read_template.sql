-- One template. $1 tenant_id, $2 name.
SELECT tenant_id, name, version, body, defaults, description, created_at, created_by, updated_at, updated_by
  FROM scheduler.schedule_templates
 WHERE tenant_id = $1 AND name = $2
