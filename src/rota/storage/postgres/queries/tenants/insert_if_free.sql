-- A tenant's id is given once, also after its revocation.
INSERT INTO scheduler.tenants (id, name, created_at, created_by, revoked_at, weight)
VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO NOTHING
RETURNING id
