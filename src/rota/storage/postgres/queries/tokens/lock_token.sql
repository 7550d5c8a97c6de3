-- Of two who revoke a token one does it, and the other finds it done.
SELECT id, tenant_id, name, role, hint, created_at, created_by, expires_at, revoked_at
  FROM scheduler.api_tokens
 WHERE tenant_id = $1 AND id = $2
   FOR UPDATE
