-- The key goes in and is read by workers alone: it is not among what comes back.
INSERT INTO scheduler.signing_secrets (id, tenant_id, name, key, created_at, created_by)
VALUES ($1, $2, $3, $4, (SELECT scheduler.current_time()), $5)
RETURNING id, tenant_id, name, created_at, created_by, retired_at
