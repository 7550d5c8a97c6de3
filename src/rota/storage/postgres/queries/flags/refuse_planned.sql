-- A new version for a tenant's schedules that have a trigger due, some at a time: steps planned for the old one are refused.
-- $1 tenant_id, $2 id to start behind, $3 how many. Locked by id, as whoever plans many anew locks them.
WITH due AS MATERIALIZED (
    SELECT DISTINCT t.schedule_id
      FROM scheduler.triggers t
     WHERE t.tenant_id = $1
       AND t.next_fire_at <= (SELECT scheduler.current_time())
       AND t.schedule_id > $2
     ORDER BY t.schedule_id
     LIMIT $3
), locked AS MATERIALIZED (
    SELECT s.id
      FROM due d
     CROSS JOIN LATERAL (
           SELECT k.id FROM scheduler.schedules k WHERE k.tenant_id = $1 AND k.id = d.schedule_id FOR UPDATE) AS s
)
UPDATE scheduler.schedules s
   SET version = s.version + 1
  FROM locked l
 WHERE s.tenant_id = $1 AND s.id = l.id
RETURNING s.id
