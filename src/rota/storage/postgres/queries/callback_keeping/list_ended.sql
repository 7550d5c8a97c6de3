-- Runs whose waiting for a callback is over: answered, too late, or to be cancelled. Each of the three is found by its index.
-- One without a live row was settled before it could be closed.
-- service: the leader serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), over AS MATERIALIZED (
    (SELECT c.secret_hash
       FROM scheduler.callbacks c
      WHERE c.answered_at IS NOT NULL
        AND c.ended_at IS NULL
      ORDER BY c.answered_at
      LIMIT $1)
      UNION
    (SELECT c.secret_hash
       FROM scheduler.callbacks c
      WHERE c.waiting_token IS NOT NULL
        AND c.ended_at IS NULL
        AND c.deadline_at <= (SELECT k.now FROM clock k)
      ORDER BY c.deadline_at
      LIMIT $1)
      UNION
    (SELECT c.secret_hash
       FROM scheduler.live_runs l
       JOIN scheduler.callbacks c ON c.run_id = l.run_id AND c.waiting_token = l.attempt_token AND c.ended_at IS NULL
      WHERE l.worker_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
        AND l.cancel_requested_at IS NOT NULL
      LIMIT $1)
)
SELECT c.secret_hash, c.outcome, c.result::text AS result, c.error::text AS error, c.wait_seconds,
       c.deadline_at <= k.now AS is_late,
       l.run_id::text AS run_id, l.tenant_id, l.attempt_token, l.attempts_count, l.losses_count, l.priority, l.queue,
       l.started_at AS claimed_at, r.schedule_id::text AS schedule_id, r.fire_at, r.target, r.policy
  FROM over o
  JOIN scheduler.callbacks c ON c.secret_hash = o.secret_hash
 CROSS JOIN clock k
  LEFT JOIN LATERAL (
       SELECT * FROM scheduler.live_runs v
        WHERE v.run_id = c.run_id
          AND v.attempt_token = c.waiting_token
          AND v.worker_id IS NOT NULL
       OFFSET 0) AS l ON true
  LEFT JOIN LATERAL (
       SELECT b.schedule_id, b.fire_at, b.target::text AS target, b.policy::text AS policy
         FROM scheduler.runs b
        WHERE b.tenant_id = l.tenant_id
          AND b.id = l.run_id
       OFFSET 0) AS r ON true
 LIMIT $1
