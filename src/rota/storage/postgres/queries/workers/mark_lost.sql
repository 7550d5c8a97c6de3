-- Declares workers lost whose lease has ended. One that is claiming or renewing this instant is passed over, and judged
-- again the next time: the clock is read after the lock (law 4). A heartbeat that is still to come was before the clock was
-- set back: the lease is counted anew from now, or a worker that died before it would be waited for until the old time.
-- service: a worker serves all tenants.
WITH ended AS MATERIALIZED (
    SELECT w.id, w.name, w.heartbeat_at, w.lease_expires_at
      FROM scheduler.workers w
     WHERE w.state IN ('active', 'draining')
       AND (w.lease_expires_at <= (SELECT scheduler.current_time())
            OR w.heartbeat_at > (SELECT scheduler.current_time()))
     ORDER BY w.id
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), judged AS MATERIALIZED (
    SELECT e.*, scheduler.current_time() AS now FROM ended e
), counted_anew AS (
    UPDATE scheduler.workers w
       SET heartbeat_at = j.now,
           lease_expires_at = j.now + (j.lease_expires_at - j.heartbeat_at)
      FROM judged j
     WHERE w.id = j.id
       AND j.heartbeat_at > j.now
), lost AS (
    UPDATE scheduler.workers w
       SET state = 'lost'
      FROM judged j
     WHERE w.id = j.id
       AND j.lease_expires_at <= j.now
       AND j.heartbeat_at <= j.now
    RETURNING w.id, w.name, w.heartbeat_at, j.now
), told AS (
    INSERT INTO scheduler.events (id, at, type, subject, data)
    SELECT scheduler.uuid7_at(l.now), l.now, 'WorkerLost', l.id::text,
           jsonb_build_object('name', l.name, 'heartbeat_at', l.heartbeat_at)
      FROM lost l
)
SELECT l.id::text AS id FROM lost l ORDER BY l.id
