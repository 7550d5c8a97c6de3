-- What alerts go by. Of runs that wait the first of each lane is looked at, lane by lane, for $1 lanes at most of those that are
-- awake and of those that sleep: the queue's length does not matter.
-- service: the platform's own figures are of all tenants.
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), awake (queue, priority, tenant_id, due_at) AS (
    (SELECT l.queue, l.priority, l.tenant_id, l.due_at
       FROM scheduler.live_runs l
      WHERE l.state = 'queued' AND NOT l.is_parked AND NOT l.is_asleep
      ORDER BY l.queue, l.priority, l.tenant_id COLLATE "C", l.due_at
      LIMIT 1)
     UNION ALL
    SELECT f.queue, f.priority, f.tenant_id, f.due_at
      FROM awake a
     CROSS JOIN LATERAL (
           SELECT l.queue, l.priority, l.tenant_id, l.due_at
             FROM scheduler.live_runs l
            WHERE l.state = 'queued' AND NOT l.is_parked AND NOT l.is_asleep
              AND (l.queue, l.priority, l.tenant_id COLLATE "C") > (a.queue, a.priority, a.tenant_id)
            ORDER BY l.queue, l.priority, l.tenant_id COLLATE "C", l.due_at
            LIMIT 1) AS f
), asleep (queue, due_at) AS (
    (SELECT l.queue, l.due_at
       FROM scheduler.live_runs l
      WHERE l.state = 'queued' AND NOT l.is_parked AND l.is_asleep
      ORDER BY l.queue, l.due_at
      LIMIT 1)
     UNION ALL
    SELECT f.queue, f.due_at
      FROM asleep a
     CROSS JOIN LATERAL (
           SELECT l.queue, l.due_at
             FROM scheduler.live_runs l
            WHERE l.state = 'queued' AND NOT l.is_parked AND l.is_asleep
              AND l.queue > a.queue
            ORDER BY l.queue, l.due_at
            LIMIT 1) AS f
), waiting AS (
    SELECT a.due_at FROM (SELECT w.due_at FROM awake w LIMIT $1) AS a
     UNION ALL
    SELECT a.due_at FROM (SELECT w.due_at FROM asleep w LIMIT $1) AS a
)
SELECT coalesce((SELECT extract(epoch FROM c.now - min(w.due_at)) FROM waiting w WHERE w.due_at <= c.now), 0)::float8
           AS waiting_seconds,
       coalesce((SELECT extract(epoch FROM c.now - min(d.ended_at))
                   FROM (SELECT r.ended_at FROM scheduler.run_deltas r LIMIT $1) AS d), 0)::float8 AS uncounted_seconds,
       t.ended_count, t.failed_count,
       (SELECT count(*)
          FROM scheduler.partitioned_tables p
         WHERE pg_catalog.pg_relation_size(to_regclass('scheduler.' || p.name || '_default')) > 0) AS stray_partitions_count
  FROM clock c
 CROSS JOIN (SELECT coalesce(sum(r.succeeded_count + r.failed_count + r.cancelled_count + r.skipped_count), 0)::bigint
                        AS ended_count,
                    coalesce(sum(r.failed_count), 0)::bigint AS failed_count
               FROM scheduler.run_totals r) AS t
