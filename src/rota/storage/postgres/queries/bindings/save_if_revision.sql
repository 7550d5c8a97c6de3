-- Compare-and-set: the statement waits for the row and judges it as it is then. What the schedule was made from stays.
-- $1 tenant_id, $2 kind, $3 subject, $9 the expected revision.
UPDATE scheduler.bindings
   SET template = $4, parameters = $5, revision = $6, updated_at = $7, updated_by = $8
 WHERE tenant_id = $1 AND kind = $2 AND subject = $3 AND revision = $9
RETURNING kind
