-- A new binding, without a schedule; no row where there is one of that subject.
INSERT INTO scheduler.bindings (
       tenant_id, kind, subject, template, parameters, revision, created_at, created_by, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (tenant_id, kind, subject) DO NOTHING
RETURNING kind
