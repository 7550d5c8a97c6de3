-- Which calendars schedules use, after they were stored in the same transaction.
-- $1 tenant_id, $2 the schedules, $3 and $4 calendar and schedule of each use. Returns calendars that have too many.
WITH given AS MATERIALIZED (
    SELECT DISTINCT g.calendar_name, g.schedule_id FROM unnest($3::text[], $4::text[]::uuid[]) AS g (calendar_name, schedule_id)
), gone AS (
    DELETE FROM scheduler.calendar_uses u
     WHERE u.tenant_id = $1 AND u.schedule_id = ANY ($2::text[]::uuid[])
       AND NOT EXISTS (SELECT FROM given g
                        WHERE g.calendar_name = u.calendar_name AND g.schedule_id = u.schedule_id)
), added AS (
    INSERT INTO scheduler.calendar_uses (tenant_id, calendar_name, schedule_id)
    SELECT $1, g.calendar_name, g.schedule_id
      FROM given g
        ON CONFLICT DO NOTHING
    RETURNING calendar_name
)
SELECT a.calendar_name, count(*) AS added_count,
       (SELECT count(*)
          FROM scheduler.calendar_uses u
         WHERE u.tenant_id = $1 AND u.calendar_name = a.calendar_name) AS before_count
  FROM added a
 GROUP BY a.calendar_name
