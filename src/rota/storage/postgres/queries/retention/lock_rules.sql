-- All rules, held until they are changed: one must not be longer than another, so they are judged together.
SELECT r.kind, r.keep_days, r.changed_at, r.changed_by, scheduler.current_time() AS now
  FROM scheduler.retention r
 ORDER BY r.kind
   FOR UPDATE
