-- What the schedule of a binding that is held was made from. $1 tenant_id, $2 kind, $3 subject.
UPDATE scheduler.bindings
   SET schedule_id = $4, made_revision = $5, made_template_version = $6
 WHERE tenant_id = $1 AND kind = $2 AND subject = $3
