-- Hands due runs to one worker under its lease, each with a new token: highest priority first, then longest due.
-- service: a worker serves all tenants.
-- The worker's row is locked before the clock is read (law 4); no row at all means that its lease has ended.
-- With one queue the lanes (queue, priority) are drained in order and the outer limit stops at the last row needed.
-- With several, a look without locks first says how many of each lane belong to the batch, so that none is locked in vain.
WITH holder AS MATERIALIZED (
    SELECT w.id, w.state, w.lease_expires_at
      FROM scheduler.workers w
     WHERE w.id = $1
       AND w.state IN ('active', 'draining')
       FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT h.state, h.lease_expires_at, scheduler.current_time() AS now FROM holder h
), term AS MATERIALIZED (
    SELECT j.now, j.state FROM judged j WHERE j.lease_expires_at > j.now
), lanes AS MATERIALIZED (
    SELECT q.queue, p.priority, $3::bigint AS quota
      FROM unnest($2::text[]) AS q (queue)
     CROSS JOIN generate_series(9, 0, -1) AS p (priority)
     WHERE cardinality($2::text[]) = 1
     UNION ALL
    SELECT seen.queue, seen.priority, count(*)
      FROM (SELECT q.queue, p.priority, due.due_at, due.run_id
              FROM unnest($2::text[]) AS q (queue)
             CROSS JOIN generate_series(9, 0, -1) AS p (priority)
             CROSS JOIN LATERAL (
                   SELECT l.due_at, l.run_id
                     FROM scheduler.live_runs l
                    WHERE l.state = 'queued'
                      AND l.queue = q.queue
                      AND l.priority = p.priority
                      AND l.due_at <= (SELECT t.now FROM term t)
                    ORDER BY l.due_at, l.run_id
                    LIMIT $3) AS due
             WHERE cardinality($2::text[]) > 1
             ORDER BY p.priority DESC, due.due_at, due.run_id
             LIMIT $3) AS seen
     GROUP BY seen.queue, seen.priority
), picked AS MATERIALIZED (
    SELECT run.place
      FROM (SELECT * FROM lanes ORDER BY priority DESC) AS lane
     CROSS JOIN LATERAL (
           SELECT l.ctid AS place
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = lane.queue
              AND l.priority = lane.priority
              AND l.due_at <= (SELECT t.now FROM term t WHERE t.state = 'active')
            ORDER BY l.due_at, l.run_id
            LIMIT lane.quota
              FOR UPDATE SKIP LOCKED) AS run
     LIMIT $3
), claimed AS (
    UPDATE scheduler.live_runs l
       SET state = 'running',
           worker_id = $1,
           attempt_token = l.attempt_token + 1,
           attempts_count = l.attempts_count + 1,
           started_at = t.now,
           hard_deadline_at = t.now + make_interval(secs => l.timeout_seconds)
      FROM term t
     WHERE l.ctid = ANY (ARRAY(SELECT p.place FROM picked p))
       AND l.state = 'queued'
    RETURNING l.run_id, l.tenant_id, l.attempt_token, l.attempts_count, l.losses_count, l.queue, l.priority, l.due_at
)
SELECT t.now AS claimed_at, c.run_id::text AS run_id, c.tenant_id, c.attempt_token, c.attempts_count, c.losses_count, c.queue,
       r.schedule_id::text AS schedule_id, r.fire_at, r.target, r.policy
  FROM term t
  LEFT JOIN claimed c ON true
  LEFT JOIN LATERAL (
       SELECT b.schedule_id, b.fire_at, b.target::text AS target, b.policy::text AS policy
         FROM scheduler.runs b
        WHERE b.tenant_id = c.tenant_id
          AND b.id = c.run_id
       OFFSET 0) AS r ON true
 ORDER BY c.priority DESC, c.due_at, c.run_id
