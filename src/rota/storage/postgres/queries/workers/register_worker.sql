-- A worker begins. Repeating it is harmless while the worker lives; the id of one that has ended is refused (no row).
-- service: a worker serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), registered AS (
    INSERT INTO scheduler.workers AS w (id, name, state, queues, slots, tasks, hostname, pid, version,
                                        started_at, heartbeat_at, lease_expires_at)
    SELECT $1, $2, 'active', $3, $4, $5, $6, $7, $8, c.now, c.now, c.now + make_interval(secs => $9)
      FROM clock c
        ON CONFLICT (id) DO UPDATE
       SET heartbeat_at = excluded.heartbeat_at, lease_expires_at = excluded.lease_expires_at
     WHERE w.state = 'active' AND w.lease_expires_at > excluded.heartbeat_at
    RETURNING w.id, w.name, w.started_at = w.heartbeat_at AS is_new
), told AS (
    INSERT INTO scheduler.events (id, at, type, subject, data)
    SELECT scheduler.uuid7_at(c.now), c.now, 'WorkerRegistered', r.id::text, jsonb_build_object('name', r.name)
      FROM registered r
     CROSS JOIN clock c
     WHERE r.is_new
)
SELECT r.id FROM registered r
