-- One tenant: for the platform any, for a tenant's own login only itself.
SELECT id, name, created_at, created_by, revoked_at, weight FROM scheduler.tenants WHERE id = $1
