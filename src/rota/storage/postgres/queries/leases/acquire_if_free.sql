-- Takes a lease that is free or has expired, with the next epoch; else answers the lease as it stands.
-- The row is locked against renewals before the clock is read (law 4); the change of the epoch, a key, then waits for
-- fenced transactions in flight. No row: somebody else created the lease meanwhile.
-- A lease that ends later than a whole length from now was given before the clock was set back. It is cut to one length:
-- a holder that lives renews it, and nobody waits until the old time is reached again for one that does not.
WITH seen AS MATERIALIZED (
    SELECT l.* FROM scheduler.leases l WHERE l.name = $1 FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT s.*, scheduler.current_time() AS now FROM seen s
), taken AS (
    UPDATE scheduler.leases l
       SET epoch = l.epoch + 1,
           holder = $2,
           acquired_at = j.now,
           expires_at = j.now + make_interval(secs => $3)
      FROM judged j
     WHERE l.name = j.name
       AND j.expires_at <= j.now
    RETURNING l.epoch, l.holder, l.acquired_at, l.expires_at, j.now
), cut AS (
    UPDATE scheduler.leases l
       SET expires_at = j.now + make_interval(secs => $3)
      FROM judged j
     WHERE l.name = j.name
       AND j.expires_at > j.now + make_interval(secs => $3)
    RETURNING l.epoch, l.holder, l.acquired_at, l.expires_at, j.now
), born AS (
    INSERT INTO scheduler.leases AS l (name, epoch, holder, acquired_at, expires_at)
    SELECT $1, 1, $2, c.now, c.now + make_interval(secs => $3)
      FROM (SELECT scheduler.current_time() AS now) AS c
     WHERE NOT EXISTS (SELECT FROM seen)
        ON CONFLICT (name) DO NOTHING
    RETURNING l.epoch, l.holder, l.acquired_at, l.expires_at, l.acquired_at AS now
)
SELECT * FROM taken
 UNION ALL
SELECT * FROM born
 UNION ALL
SELECT * FROM cut
 UNION ALL
SELECT j.epoch, j.holder, j.acquired_at, j.expires_at, j.now
  FROM judged j
 WHERE j.expires_at > j.now
   AND j.expires_at <= j.now + make_interval(secs => $3)
