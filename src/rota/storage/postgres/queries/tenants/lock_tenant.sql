-- FOR UPDATE waits for every transaction that has inserted a row which refers to the tenant, and holds up new ones.
SELECT id, name, created_at, created_by, revoked_at, weight FROM scheduler.tenants WHERE id = $1 FOR UPDATE
