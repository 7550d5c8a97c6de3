-- Attempts whose worker is gone, or which are past a deadline that was after $3: visits live workers and those that have left
-- and may hold something. It passes none of what a living worker held with an earlier or later deadline.
-- service: the leader rescues the runs of all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), judged AS MATERIALIZED (
    SELECT w.id AS worker_id, w.lease_expires_at <= c.now AS gone, c.now
      FROM scheduler.workers w
     CROSS JOIN clock c
     WHERE w.state IN ('active', 'draining')
     UNION ALL
    SELECT w.id, true, c.now
      FROM scheduler.workers w
     CROSS JOIN clock c
     WHERE w.state IN ('stopped', 'lost')
       AND NOT w.is_cleared
)
SELECT l.run_id::text AS run_id, l.tenant_id, l.attempt_token, l.attempts_count, l.losses_count, l.priority, l.queue, l.started_at AS claimed_at,
       j.worker_id::text AS worker_id, j.gone, r.schedule_id::text AS schedule_id, r.fire_at, r.target, r.policy
  FROM judged j
 CROSS JOIN LATERAL (
       SELECT * FROM scheduler.live_runs l
        WHERE l.state = 'running'
          AND l.worker_id = j.worker_id
          AND l.hard_deadline_at > CASE WHEN j.gone THEN '-infinity' ELSE $3::timestamptz END
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
