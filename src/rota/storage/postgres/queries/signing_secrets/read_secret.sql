-- The record of a secret, to answer one who retires it again.
SELECT id, tenant_id, name, created_at, created_by, retired_at
  FROM scheduler.signing_secrets
 WHERE tenant_id = $1 AND id = $2
