-- What a change of a calendar makes of the schedules that use it: new next times, and a new version each, so that what
-- the leader has planned by the old one is refused. $1 tenant_id, $2 schedule ids, $3 triggers as JSON, $4 actor.
WITH planned AS MATERIALIZED (
    SELECT * FROM json_to_recordset($3::text::json) AS p (id uuid, next_fire_at timestamptz, calendars json)
), timed AS (
    UPDATE scheduler.triggers t
       SET next_fire_at = p.next_fire_at,
           calendars = CASE WHEN json_array_length(p.calendars) > 0 THEN p.calendars END
      FROM planned p
     WHERE t.tenant_id = $1 AND t.id = p.id
)
UPDATE scheduler.schedules s
   SET version = s.version + 1, updated_at = scheduler.current_time(), updated_by = $4
 WHERE s.tenant_id = $1 AND s.id = ANY ($2::text[]::uuid[])
