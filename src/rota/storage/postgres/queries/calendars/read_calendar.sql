-- A calendar with the number of live schedules that use it. $1 tenant_id, $2 name.
SELECT c.name, c.tenant_id, c.version, c.days::text AS days, c.created_at, c.created_by, c.updated_at, c.updated_by,
       (SELECT count(*)
          FROM scheduler.calendar_uses u
         WHERE u.tenant_id = $1 AND u.calendar_name = c.name) AS schedules_count
  FROM scheduler.calendars c
 WHERE c.tenant_id = $1 AND c.name = $2
