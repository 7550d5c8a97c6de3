-- A binding with what its template and its schedule are by now. $1 tenant_id, $2 kind, $3 subject.
SELECT b.tenant_id, b.kind, b.subject, b.template, b.parameters, b.revision, b.schedule_id, b.made_revision,
       b.made_template_version, b.created_at, b.created_by, b.updated_at, b.updated_by,
       t.version AS template_version, s.id IS NOT NULL AS has_schedule
  FROM scheduler.bindings b
  JOIN scheduler.schedule_templates t ON t.tenant_id = $1 AND t.name = b.template
  LEFT JOIN scheduler.schedules s ON s.tenant_id = $1 AND s.id = b.schedule_id AND s.deleted_at IS NULL
 WHERE b.tenant_id = $1 AND b.kind = $2 AND b.subject = $3
