-- Tells the leader in one cheap statement what there is to do: the next fire, ended leases, overdue attempts.
-- service: the leader serves all tenants.
WITH RECURSIVE holders AS (
    (SELECT l.worker_id FROM scheduler.live_runs l WHERE l.state = 'running' ORDER BY l.worker_id LIMIT 1)
     UNION ALL
    SELECT (SELECT l.worker_id
              FROM scheduler.live_runs l
             WHERE l.state = 'running' AND l.worker_id > h.worker_id
             ORDER BY l.worker_id
             LIMIT 1)
      FROM holders h
     WHERE h.worker_id IS NOT NULL
), clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
)
SELECT extract(epoch FROM (SELECT t.next_fire_at
                             FROM scheduler.triggers t
                            WHERE t.next_fire_at IS NOT NULL
                            ORDER BY t.next_fire_at
                            LIMIT 1) - c.now)::float8 AS next_fire_in_seconds,
       EXISTS (SELECT FROM scheduler.workers w
                WHERE w.state IN ('active', 'draining')
                  AND (w.lease_expires_at <= c.now OR w.heartbeat_at > c.now))
       OR EXISTS (SELECT FROM holders h
                   WHERE h.worker_id IS NOT NULL
                     AND NOT EXISTS (SELECT FROM scheduler.workers w
                                      WHERE w.id = h.worker_id
                                        AND w.state IN ('active', 'draining'))) AS lost_workers,
       EXISTS (SELECT FROM holders h
                CROSS JOIN LATERAL (
                      SELECT l.hard_deadline_at
                        FROM scheduler.live_runs l
                       WHERE l.state = 'running'
                         AND l.worker_id = h.worker_id
                       ORDER BY l.hard_deadline_at
                       LIMIT 1) AS oldest
                WHERE oldest.hard_deadline_at <= c.now - make_interval(secs => $1)) AS overdue_attempts
  FROM clock c
