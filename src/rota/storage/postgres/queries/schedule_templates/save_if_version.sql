-- Compare-and-set: the statement waits for the row and judges it as it is then. $1 tenant_id, $2 name, $9 expected version.
UPDATE scheduler.schedule_templates
   SET version = $3, body = $4, defaults = $5, description = $6, updated_at = $7, updated_by = $8
 WHERE tenant_id = $1 AND name = $2 AND version = $9
RETURNING name
