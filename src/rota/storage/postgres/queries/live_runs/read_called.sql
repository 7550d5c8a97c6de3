-- Where the first of those runs stand in their queues that may be claimed now since a turn ($1: of these schedules) or a place
-- ($2: of these keys) has become free: for looks that would begin behind them. What is not due, or has no place, is not there.
-- service: a worker serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), called AS (
    SELECT f.queue, f.priority, f.tenant_id, f.due_at
      FROM unnest($1::uuid[]) AS s (id)
     CROSS JOIN LATERAL (
           SELECT l.queue, l.priority, l.tenant_id, l.due_at
             FROM scheduler.live_runs l
            WHERE l.schedule_id = s.id
              AND l.state = 'queued'
              AND NOT l.is_parked
              AND l.is_serial
           OFFSET 0) AS f
     UNION ALL
    SELECT f.queue, f.priority, f.tenant_id, f.due_at
      FROM unnest($2::uuid[]) AS k (id)
     CROSS JOIN LATERAL (
           SELECT l.queue, l.priority, l.tenant_id, l.due_at, l.worker_id
             FROM scheduler.live_runs l
            WHERE l.key_id = k.id
              AND l.wanted_at IS NULL
              AND l.due_at < 'infinity'
           OFFSET 0) AS f
     WHERE f.worker_id IS NULL
)
SELECT c.queue, c.priority, c.tenant_id, min(c.due_at) AS due_at
  FROM called c
 WHERE c.due_at <= (SELECT k.now FROM clock k)
 GROUP BY c.queue, c.priority, c.tenant_id
