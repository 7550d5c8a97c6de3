-- A schedule with its triggers in one statement, so that no change can fall between the two halves.
-- $1 tenant_id, $2 id.
SELECT s.id, s.tenant_id, s.name, s.version, s.enabled, s.needs_intervention, s.intervention::text AS intervention, s.description, s.labels::text AS labels,
       s.target::text AS target, s.policies::text AS policies, s.paused_reason, s.created_at, s.created_by,
       s.updated_at, s.updated_by, s.deleted_at, s.deleted_by, t.triggers
  FROM scheduler.schedules s
 CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object(
                  'id', t.id, 'spec', t.spec, 'anchor_at', t.anchor_at, 'next_fire_at', t.next_fire_at,
                  'fired_through', t.fired_through, 'fires_count', t.fires_count,
                  'calendars', coalesce(t.calendars, '[]')) ORDER BY t.position)::text AS triggers
         FROM scheduler.triggers t
        WHERE t.tenant_id = $1 AND t.schedule_id = s.id) t
 WHERE s.tenant_id = $1 AND s.id = $2
