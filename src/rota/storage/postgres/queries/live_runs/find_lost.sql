-- Attempts whose worker is gone, or which are past their deadline: visits each worker that holds anything, by the index.
-- Runs that wait for their segments are held by nobody who could be gone: that id is passed over.
-- service: the leader rescues the runs of all tenants.
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
), judged AS MATERIALIZED (
    SELECT h.worker_id, c.now,
           NOT EXISTS (SELECT FROM scheduler.workers w
                        WHERE w.id = h.worker_id
                          AND w.state IN ('active', 'draining')
                          AND w.lease_expires_at > c.now) AS gone
      FROM holders h
     CROSS JOIN clock c
     WHERE h.worker_id IS NOT NULL
       AND h.worker_id <> 'ffffffff-ffff-ffff-ffff-ffffffffffff'
)
SELECT l.run_id::text AS run_id, l.tenant_id, l.attempt_token, l.attempts_count, l.losses_count, l.priority, l.queue, l.started_at AS claimed_at,
       j.worker_id::text AS worker_id, j.gone, r.schedule_id::text AS schedule_id, r.fire_at, r.target, r.policy
  FROM judged j
 CROSS JOIN LATERAL (
       SELECT * FROM scheduler.live_runs l
        WHERE l.state = 'running'
          AND l.worker_id = j.worker_id
          AND l.hard_deadline_at <= CASE WHEN j.gone THEN 'infinity' ELSE j.now - make_interval(secs => $1) END
        ORDER BY l.hard_deadline_at
        LIMIT $2) AS l
 CROSS JOIN LATERAL (
       SELECT b.schedule_id, b.fire_at, b.target::text AS target, b.policy::text AS policy
         FROM scheduler.runs b
        WHERE b.tenant_id = l.tenant_id
          AND b.id = l.run_id
       OFFSET 0) AS r
 LIMIT $2
