-- Prolongs an unexpired lease of this very epoch. Locked before the clock is read (law 4): a renewal that had to wait
-- behind a take-over is refused.
WITH seen AS MATERIALIZED (
    SELECT l.* FROM scheduler.leases l WHERE l.name = $1 AND l.epoch = $2 AND l.holder = $3 FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT s.*, scheduler.current_time() AS now FROM seen s
)
UPDATE scheduler.leases l
   SET expires_at = j.now + make_interval(secs => $4)
  FROM judged j
 WHERE l.name = j.name
   AND l.epoch = j.epoch
   AND j.expires_at > j.now
RETURNING l.epoch, l.holder, l.acquired_at, l.expires_at, j.now
