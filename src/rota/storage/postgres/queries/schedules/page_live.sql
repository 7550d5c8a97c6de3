-- The list of a tenant's live schedules by name, walked along the index schedules_live_name.
-- $1 tenant_id, $2 and $3 first and last name, $4 enabled or NULL, $5 labels or NULL, $6 and $7 name and id to start
-- behind, $8 limit, $9 offset, $10 the total where it was counted for an earlier page or NULL, $11 where counting ends
-- or NULL: it reads all that match, so a walk through a million schedules counts them once.
-- The total comes with every row; an empty page is one row without an id.
-- CASE instead of OR keeps the planner from taking a filter that is not given for a narrow one, and sorting everything.
-- $12 whether it needs intervention, or NULL.
WITH total AS (
    SELECT coalesce($10::bigint, (
           SELECT count(*)
             FROM (SELECT
                     FROM scheduler.schedules s
                    WHERE s.tenant_id = $1 AND s.deleted_at IS NULL AND s.name BETWEEN $2 AND $3
                      AND CASE WHEN $4::boolean IS NULL THEN true ELSE s.enabled = $4 END
                      AND CASE WHEN $5::text IS NULL THEN true ELSE s.labels @> $5::text::jsonb END
                      AND CASE WHEN $12::boolean IS NULL THEN true ELSE s.needs_intervention = $12 END
                    LIMIT $11) AS c)) AS total_count
), listed AS MATERIALIZED (
    SELECT s.*
      FROM scheduler.schedules s
     WHERE s.tenant_id = $1 AND s.deleted_at IS NULL AND s.name BETWEEN $2 AND $3
       AND CASE WHEN $4::boolean IS NULL THEN true ELSE s.enabled = $4 END
       AND CASE WHEN $5::text IS NULL THEN true ELSE s.labels @> $5::text::jsonb END
       AND CASE WHEN $12::boolean IS NULL THEN true ELSE s.needs_intervention = $12 END
       AND (s.name, s.id) > ($6, $7::uuid)
     ORDER BY s.name, s.id
     LIMIT $8 OFFSET $9
)
SELECT total.total_count, s.id, s.tenant_id, s.name, s.version, s.enabled, s.needs_intervention, s.intervention::text AS intervention, s.description,
       s.labels::text AS labels, s.target::text AS target, s.policies::text AS policies, s.paused_reason,
       s.created_at, s.created_by, s.updated_at, s.updated_by, s.deleted_at, s.deleted_by, t.triggers
  FROM total
  LEFT JOIN listed s ON true
  LEFT JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object(
                  'id', t.id, 'spec', t.spec, 'anchor_at', t.anchor_at, 'next_fire_at', t.next_fire_at,
                  'fired_through', t.fired_through, 'fires_count', t.fires_count,
                  'calendars', coalesce(t.calendars, '[]')) ORDER BY t.position)::text AS triggers
         FROM scheduler.triggers t
        WHERE t.tenant_id = $1 AND t.schedule_id = s.id) t ON true
 ORDER BY s.name, s.id
