-- Refused by the key of bindings while one names it. $1 tenant_id, $2 name.
DELETE FROM scheduler.schedule_templates
 WHERE tenant_id = $1 AND name = $2
RETURNING tenant_id, name, version, body, defaults, description, created_at, created_by, updated_at, updated_by
