-- Changes the rule of a kind whose row is held.
UPDATE scheduler.retention r
   SET keep_days = $2, changed_at = scheduler.current_time(), changed_by = $3
 WHERE r.kind = $1
