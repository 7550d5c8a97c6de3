-- A new template; no row where there is one of that name.
INSERT INTO scheduler.schedule_templates (
       tenant_id, name, version, body, defaults, description, created_at, created_by, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (tenant_id, name) DO NOTHING
RETURNING name
