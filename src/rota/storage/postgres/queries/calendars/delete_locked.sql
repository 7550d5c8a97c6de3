-- A calendar that no schedule uses, its row held by lock_calendar. No row where one does. $1 tenant_id, $2 name.
DELETE FROM scheduler.calendars c
 WHERE c.tenant_id = $1 AND c.name = $2
   AND NOT EXISTS (SELECT FROM scheduler.calendar_uses u WHERE u.tenant_id = $1 AND u.calendar_name = $2)
RETURNING c.version
