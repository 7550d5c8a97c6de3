-- What a schedule was planned by must be true until it is stored: the calendars cannot change before.
-- $1 tenant_id, $2 names. In the order of names, and before any schedule's row, as everywhere.
SELECT c.name, c.version, c.days::text AS days
  FROM scheduler.calendars c
 WHERE c.tenant_id = $1 AND c.name = ANY ($2::text[])
 ORDER BY c.name
   FOR SHARE
