-- A worker ends of its own accord; what it still holds is found by the rescuer at once.
-- service: a worker serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), stopped AS (
    UPDATE scheduler.workers w
       SET state = 'stopped',
           heartbeat_at = c.now,
           lease_expires_at = least(w.lease_expires_at, c.now)
      FROM clock c
     WHERE w.id = $1
       AND w.state IN ('active', 'draining')
    RETURNING w.id, w.name
)
INSERT INTO scheduler.events (id, at, type, subject, data)
SELECT scheduler.uuid7_at(c.now), c.now, 'WorkerStopped', s.id::text, jsonb_build_object('name', s.name)
  FROM stopped s
 CROSS JOIN clock c
