-- A schedule's triggers become the given ones; the leader's progress on those that stay is kept.
-- $1 tenant_id, $2 schedule id, $3 the triggers as a JSON list, $4 whether the schedule was enabled until now.
-- A leader may advance a trigger while this statement waits for its row: the row is then judged as the leader left it.
-- Where it has decided the given next time already, its own next time stands, so that nothing fires twice or is undone.
WITH given AS MATERIALIZED (
    SELECT *
      FROM ROWS FROM (jsonb_to_recordset($3::text::jsonb) AS (
           id uuid, spec jsonb, anchor_at timestamptz, next_fire_at timestamptz, fired_through timestamptz,
           fires_count bigint, calendars jsonb)) WITH ORDINALITY
           AS g (id, spec, anchor_at, next_fire_at, fired_through, fires_count, calendars, position)
), gone AS (
    DELETE FROM scheduler.triggers t
     WHERE t.tenant_id = $1 AND t.schedule_id = $2 AND NOT EXISTS (SELECT FROM given g WHERE g.id = t.id)
), kept AS (
    UPDATE scheduler.triggers t
       SET position = g.position, spec = g.spec, anchor_at = g.anchor_at, calendars = nullif(g.calendars, '[]')::json,
           next_fire_at = CASE WHEN $4 AND g.next_fire_at <= t.fired_through AND g.spec = t.spec
                               THEN t.next_fire_at ELSE g.next_fire_at END
      FROM given g
     WHERE t.tenant_id = $1 AND t.schedule_id = $2 AND t.id = g.id
       AND (t.position, t.spec, t.anchor_at, t.next_fire_at, t.calendars::jsonb)
           IS DISTINCT FROM (g.position::smallint, g.spec, g.anchor_at, g.next_fire_at, nullif(g.calendars, '[]'))
)
INSERT INTO scheduler.triggers (
       id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at, fired_through, fires_count, calendars)
SELECT g.id, $2, $1, g.position, g.spec, g.anchor_at, g.next_fire_at, g.fired_through, g.fires_count,
       nullif(g.calendars, '[]')::json
  FROM given g
 WHERE NOT EXISTS (SELECT FROM scheduler.triggers t WHERE t.tenant_id = $1 AND t.schedule_id = $2 AND t.id = g.id)
