-- The next version of a calendar whose row lock_calendar holds. $1 tenant_id, $2 name, $3 days, $4 actor.
UPDATE scheduler.calendars c
   SET version = c.version + 1, days = $3::text::json, updated_at = scheduler.current_time(), updated_by = $4
 WHERE c.tenant_id = $1 AND c.name = $2
RETURNING c.version
