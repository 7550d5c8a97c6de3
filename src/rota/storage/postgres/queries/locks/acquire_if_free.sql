-- Takes a lock that is free, with the next epoch: one call, so that no process freezes between the look and the change.
-- $1 tenant_id, $2 name, $3 holder, $4 ttl_seconds, $5 request_key, $6 locks_max.
SELECT a.outcome, a.lost_epoch, a.lost_holder FROM scheduler.acquire_lock($1, $2, $3, $4, $5, $6) AS a
