-- Prolongs an unexpired lock of this very epoch. Locked before the clock is read (law 4): a renewal that had to wait
-- behind a take-over is refused. $1 tenant_id, $2 name, $3 epoch, $4 holder or NULL, $5 ttl_seconds.
WITH seen AS MATERIALIZED (
    SELECT l.name, l.epoch
      FROM scheduler.locks l
     WHERE l.tenant_id = $1 AND l.name = $2 AND l.epoch = $3 AND l.epoch > scheduler.lock_epochs_from()
       AND l.session_pid IS NULL
       AND CASE WHEN $4::text IS NULL THEN true ELSE l.holder = $4 END
       FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT s.name, s.epoch, scheduler.current_time() AS now FROM seen s
)
UPDATE scheduler.locks l
   SET expires_at = j.now + make_interval(secs => $5)
  FROM judged j
 WHERE l.tenant_id = $1 AND l.name = j.name AND l.epoch = j.epoch
   AND l.released_at IS NULL
   AND l.expires_at > j.now
RETURNING l.name, l.epoch, l.holder, l.acquired_at, l.expires_at, l.released_at, true AS held, j.now AS as_of
