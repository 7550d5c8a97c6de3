-- Ends a token whose row lock_token holds; the time is the store's, read after the lock.
UPDATE scheduler.api_tokens
   SET revoked_at = (SELECT scheduler.current_time())
 WHERE tenant_id = $1 AND id = $2
RETURNING id, tenant_id, name, role, hint, created_at, created_by, expires_at, revoked_at
