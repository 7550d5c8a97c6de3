-- Before a change: the version read here stays true, and no schedule begins to use it, until the transaction ends.
-- $1 tenant_id, $2 name.
SELECT c.version, c.days::text AS days
  FROM scheduler.calendars c
 WHERE c.tenant_id = $1 AND c.name = $2
   FOR UPDATE
