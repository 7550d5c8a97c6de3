-- Bulk registration must cost one round trip: schedules and triggers of a whole batch in one statement.
-- $1 tenant_id, $2 the schedules as a JSON list. Returns the ids that were stored: those missing have a name in use.
-- Inserted in the order of names, so that two batches wait for one another instead of deadlocking.
WITH given AS MATERIALIZED (
    SELECT *
      FROM json_to_recordset($2::text::json) AS g (
           id uuid, name text, version bigint, enabled boolean, needs_intervention boolean, description text,
           labels jsonb, target json, policies json, paused_reason text, created_at timestamptz, created_by text,
           updated_at timestamptz, updated_by text, deleted_at timestamptz, deleted_by text, triggers json)
), stored AS (
    INSERT INTO scheduler.schedules (
           id, tenant_id, name, version, enabled, needs_intervention, description, labels, target, policies,
           paused_reason, created_at, created_by, updated_at, updated_by, deleted_at, deleted_by)
    SELECT id, $1, name, version, enabled, needs_intervention, description, labels, target, policies,
           paused_reason, created_at, created_by, updated_at, updated_by, deleted_at, deleted_by
      FROM given
     ORDER BY name COLLATE "C"
        ON CONFLICT (tenant_id, name) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id
), with_triggers AS (
    INSERT INTO scheduler.triggers (
           id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at, fired_through, fires_count, calendars)
    SELECT t.id, g.id, $1, t.position, t.spec, t.anchor_at, t.next_fire_at, t.fired_through, t.fires_count,
           CASE WHEN json_array_length(t.calendars) > 0 THEN t.calendars END
      FROM given g
      JOIN stored s ON s.id = g.id
     CROSS JOIN LATERAL ROWS FROM (json_to_recordset(g.triggers) AS (
           id uuid, spec jsonb, anchor_at timestamptz, next_fire_at timestamptz, fired_through timestamptz,
           fires_count bigint, calendars json)) WITH ORDINALITY
           AS t (id, spec, anchor_at, next_fire_at, fired_through, fires_count, calendars, position)
)
SELECT id FROM stored
