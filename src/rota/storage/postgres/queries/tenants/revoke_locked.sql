-- Closes a tenant whose row lock_tenant holds; the time is the store's, read after the lock.
UPDATE scheduler.tenants
   SET revoked_at = (SELECT scheduler.current_time())
 WHERE id = $1
RETURNING id, name, created_at, created_by, revoked_at, weight
