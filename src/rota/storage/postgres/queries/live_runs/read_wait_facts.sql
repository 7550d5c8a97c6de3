-- Why one queued run waits, for core.waiting: each part is bounded, whatever is waiting. No row: it is not queued.
-- Limits and workers are the platform's; of what is counted, a tenant is told how many, not whose.
-- $3 is its task. A limit's running runs are counted to its maximum, which is at most 100,000 index entries.
WITH held AS MATERIALIZED (
    SELECT l.run_id, l.tenant_id, l.schedule_id, l.queue, l.due_at, l.attempts_count, l.is_serial, l.key_id,
           l.key_max, l.wanted_at,
           scheduler.current_time() AS now
      FROM scheduler.live_runs l
     WHERE l.state = 'queued'
       AND l.tenant_id = $1
       AND l.run_id = $2
), listeners AS MATERIALIZED (
    SELECT w.tasks
      FROM held h
     CROSS JOIN scheduler.workers w
     WHERE w.state = 'active'
       AND w.lease_expires_at > h.now
       AND h.queue = ANY (w.queues)
), limits AS MATERIALIZED (
    SELECT l.kind, l.name, l.concurrency_max, l.rate_per_second, r.room,
           CASE l.kind
           WHEN 'queue' THEN
               (SELECT count(*)
                  FROM (SELECT FROM scheduler.live_runs v
                         WHERE v.queue = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited
                         LIMIT l.concurrency_max) AS running)
           ELSE
               (SELECT count(*)
                  FROM (SELECT FROM scheduler.live_runs v
                         WHERE v.tenant_id = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited
                         LIMIT l.concurrency_max) AS running) END AS running_count
      FROM held h
     CROSS JOIN LATERAL scheduler.room_of(ARRAY[h.queue], ARRAY[h.tenant_id], false) AS r
      JOIN scheduler.limits l ON l.kind = r.kind AND l.name = r.name
)
SELECT h.now, h.queue, coalesce(h.wanted_at, nullif(h.due_at, 'infinity')) AS due_at, h.attempts_count,
       CASE WHEN h.wanted_at IS NOT NULL THEN h.key_max END AS key_max,
       CASE WHEN h.wanted_at IS NOT NULL THEN
           (SELECT count(*)
              FROM (SELECT FROM scheduler.live_runs v
                     WHERE v.key_id = h.key_id AND v.wanted_at IS NULL AND v.due_at < 'infinity'
                     LIMIT h.key_max) AS taken) END AS taken_count,
       (SELECT count(*)
          FROM scheduler.run_dependencies d
         WHERE d.tenant_id = $1
           AND d.run_id = $2
           AND d.upstream_state IS NULL) AS upstreams_count,
       (SELECT o.run_id::text
          FROM scheduler.live_runs o
         WHERE h.is_serial
           AND o.schedule_id = h.schedule_id
           AND o.state = 'running'
           AND o.is_serial
         LIMIT 1) AS turn_run_id,
       (SELECT count(*) FROM listeners) AS listeners_count,
       (SELECT count(*) FROM listeners w WHERE $3::text IS NULL OR $3 = ANY (w.tasks)) AS capable_count,
       ARRAY(SELECT l.kind FROM limits l ORDER BY l.kind) AS limit_kinds,
       ARRAY(SELECT l.name FROM limits l ORDER BY l.kind) AS limit_names,
       ARRAY(SELECT l.concurrency_max FROM limits l ORDER BY l.kind) AS limit_maxima,
       ARRAY(SELECT l.rate_per_second FROM limits l ORDER BY l.kind) AS limit_rates,
       ARRAY(SELECT l.running_count FROM limits l ORDER BY l.kind) AS limit_counts,
       ARRAY(SELECT l.room FROM limits l ORDER BY l.kind) AS limit_rooms
  FROM held h
