-- The next schedules, by id, that use a calendar: locked, so that nothing of theirs fires or changes meanwhile.
-- $1 tenant_id, $2 calendar, $3 id to start behind, $4 how many.
SELECT s.id::text AS id, s.enabled, scheduler.current_time() AS now
  FROM scheduler.calendar_uses u
  JOIN scheduler.schedules s ON s.tenant_id = $1 AND s.id = u.schedule_id
 WHERE u.tenant_id = $1 AND u.calendar_name = $2 AND u.schedule_id > $3::text::uuid
 ORDER BY u.schedule_id
 LIMIT $4
   FOR UPDATE OF s
