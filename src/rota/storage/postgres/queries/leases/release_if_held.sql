-- Ends a lease now, so that a standby takes over at once; the epoch is kept, since it must never fall.
WITH seen AS MATERIALIZED (
    SELECT l.* FROM scheduler.leases l WHERE l.name = $1 AND l.epoch = $2 AND l.holder = $3 FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT s.*, scheduler.current_time() AS now FROM seen s
)
UPDATE scheduler.leases l
   SET expires_at = j.now
  FROM judged j
 WHERE l.name = j.name
   AND l.epoch = j.epoch
   AND j.expires_at > j.now
RETURNING l.epoch
