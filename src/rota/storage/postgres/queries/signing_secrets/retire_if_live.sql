-- It signs nothing any more, and its key is forgotten. Of two who retire it one does.
UPDATE scheduler.signing_secrets
   SET retired_at = (SELECT scheduler.current_time()),
       key = ''
 WHERE tenant_id = $1 AND id = $2 AND retired_at IS NULL
RETURNING id, tenant_id, name, created_at, created_by, retired_at
