-- The calendars that a schedule names, to plan it by. $1 tenant_id, $2 names.
SELECT c.name, c.version, c.days::text AS days
  FROM scheduler.calendars c
 WHERE c.tenant_id = $1 AND c.name = ANY ($2::text[])
