-- Removes a limit that lock_limit holds.
DELETE FROM scheduler.limits WHERE kind = $1 AND name = $2
