-- Changes the share of a tenant whose row lock_tenant holds; workers see it with their next look.
UPDATE scheduler.tenants
   SET weight = $2
 WHERE id = $1
RETURNING id, name, created_at, created_by, revoked_at, weight
