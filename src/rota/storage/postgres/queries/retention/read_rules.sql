-- How long each kind of history is kept, and the time that decides what is older.
SELECT r.kind, r.keep_days, r.changed_at, r.changed_by, scheduler.current_time() AS now
  FROM scheduler.retention r
 ORDER BY r.kind
