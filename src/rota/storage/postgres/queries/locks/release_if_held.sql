-- Ends a lock now, so that the next contender takes it at once; the epoch is kept, since it must never fall.
-- $1 tenant_id, $2 name, $3 epoch, or NULL to break whoever holds it, $4 holder or NULL.
WITH seen AS MATERIALIZED (
    SELECT l.name, l.epoch
      FROM scheduler.locks l
     WHERE l.tenant_id = $1 AND l.name = $2 AND l.epoch > scheduler.lock_epochs_from()
       AND l.session_pid IS NULL
       AND CASE WHEN $3::bigint IS NULL THEN true ELSE l.epoch = $3 END
       AND CASE WHEN $4::text IS NULL THEN true ELSE l.holder = $4 END
       FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT s.name, s.epoch, scheduler.current_time() AS now FROM seen s
)
UPDATE scheduler.locks l
   SET released_at = j.now
  FROM judged j
 WHERE l.tenant_id = $1 AND l.name = j.name AND l.epoch = j.epoch
   AND l.released_at IS NULL
   AND l.expires_at > j.now
RETURNING l.name, l.epoch, l.holder, l.acquired_at, l.expires_at, l.released_at, false AS held, j.now AS as_of
