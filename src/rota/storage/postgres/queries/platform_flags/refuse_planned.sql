-- A new version for all schedules that have a trigger due, some at a time: steps planned for the old one are refused.
-- $1 id to start behind, $2 how many. Locked by id, as whoever plans many anew locks them.
-- service: the platform's switch is for all tenants.
WITH due AS MATERIALIZED (
    SELECT DISTINCT t.schedule_id
      FROM scheduler.triggers t
     WHERE t.next_fire_at <= (SELECT scheduler.current_time())
       AND t.schedule_id > $1
     ORDER BY t.schedule_id
     LIMIT $2
), locked AS MATERIALIZED (
    SELECT s.id
      FROM due d
     CROSS JOIN LATERAL (SELECT k.id FROM scheduler.schedules k WHERE k.id = d.schedule_id FOR UPDATE) AS s
)
UPDATE scheduler.schedules s
   SET version = s.version + 1
  FROM locked l
 WHERE s.id = l.id
RETURNING s.id
