-- The triggers of schedules that lock_users holds, as the leader left them. $1 tenant_id, $2 schedule ids.
SELECT t.schedule_id::text AS schedule_id, jsonb_agg(jsonb_build_object(
           'id', t.id, 'spec', t.spec, 'anchor_at', t.anchor_at, 'next_fire_at', t.next_fire_at,
           'fired_through', t.fired_through, 'fires_count', t.fires_count,
           'calendars', coalesce(t.calendars, '[]')) ORDER BY t.position)::text AS triggers
  FROM scheduler.triggers t
 WHERE t.tenant_id = $1 AND t.schedule_id = ANY ($2::text[]::uuid[])
 GROUP BY t.schedule_id
