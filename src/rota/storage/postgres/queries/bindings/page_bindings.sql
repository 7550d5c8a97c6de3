-- A tenant's bindings by kind and subject, each with what its template and its schedule are by now.
-- $1 tenant_id, $2 kind, $3 subject, $4 template, $5 state (each NULL: any), $6 and $7 kind and subject to start behind,
-- $8 limit, $9 offset, $10 where counting ends or NULL. An empty page is one row without an id.
-- CASE instead of OR keeps the planner from taking a filter that is not given for a narrow one, and sorting everything.
WITH total AS (
    SELECT count(*) AS total_count
      FROM (SELECT
              FROM scheduler.bindings b
              JOIN scheduler.schedule_templates t ON t.tenant_id = $1 AND t.name = b.template
              LEFT JOIN scheduler.schedules s ON s.tenant_id = $1 AND s.id = b.schedule_id AND s.deleted_at IS NULL
             WHERE b.tenant_id = $1
               AND CASE WHEN $2::text IS NULL THEN true ELSE b.kind = $2 END
               AND CASE WHEN $3::text IS NULL THEN true ELSE b.subject = $3 END
               AND CASE WHEN $4::text IS NULL THEN true ELSE b.template = $4 END
               AND CASE WHEN $5::text IS NULL THEN true
                        WHEN s.id IS NULL THEN $5 = 'missing'
                        WHEN b.made_revision = b.revision AND b.made_template_version = t.version THEN $5 = 'current'
                        ELSE $5 = 'outdated' END
             LIMIT $10) AS c
), listed AS MATERIALIZED (
    SELECT b.*, t.version AS template_version, s.id IS NOT NULL AS has_schedule
      FROM scheduler.bindings b
      JOIN scheduler.schedule_templates t ON t.tenant_id = $1 AND t.name = b.template
      LEFT JOIN scheduler.schedules s ON s.tenant_id = $1 AND s.id = b.schedule_id AND s.deleted_at IS NULL
     WHERE b.tenant_id = $1
       AND (b.kind, b.subject) > ($6, $7)
       AND CASE WHEN $2::text IS NULL THEN true ELSE b.kind = $2 END
       AND CASE WHEN $3::text IS NULL THEN true ELSE b.subject = $3 END
       AND CASE WHEN $4::text IS NULL THEN true ELSE b.template = $4 END
       AND CASE WHEN $5::text IS NULL THEN true
                WHEN s.id IS NULL THEN $5 = 'missing'
                WHEN b.made_revision = b.revision AND b.made_template_version = t.version THEN $5 = 'current'
                ELSE $5 = 'outdated' END
     ORDER BY b.kind, b.subject
     LIMIT $8 OFFSET $9
)
SELECT total.total_count, k.kind AS id, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.kind, k.subject
