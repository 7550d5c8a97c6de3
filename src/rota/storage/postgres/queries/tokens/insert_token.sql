-- A credential is kept as the hash of its secret; the secret itself is shown once and never stored.
INSERT INTO scheduler.api_tokens (
       id, tenant_id, name, role, hint, secret_hash, created_at, created_by, expires_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
