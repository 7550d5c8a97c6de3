-- Tells a worker of several queues which lanes are due, so that none is locked in vain: by priority and tenant, the queues of
-- its first runs in the order in which they are due, as many as are its share by weight of $3.
-- service: a worker serves all tenants.
-- It looks through the stretches of $4 to $7, each from a lane (exclusive) down to another (exclusive), for at most $8 lanes
-- of a queue. What sleeps and is due is woken for the next look. Its first row is there unless the worker's lease has ended.
WITH RECURSIVE holder AS MATERIALIZED (
    SELECT w.id, w.state, w.lease_expires_at
      FROM scheduler.workers w
     WHERE w.id = $1
       AND w.state IN ('active', 'draining')
       FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT h.state, h.lease_expires_at, scheduler.current_time() AS now FROM holder h
), term AS MATERIALIZED (
    SELECT j.now, j.state FROM judged j WHERE j.lease_expires_at > j.now
), woken AS (
    UPDATE scheduler.live_runs l
       SET is_asleep = false
     WHERE l.ctid = ANY (ARRAY(
           SELECT due.place
             FROM unnest($2::text[]) AS q (queue)
            CROSS JOIN LATERAL (
                  SELECT v.ctid AS place
                    FROM scheduler.live_runs v
                   WHERE v.state = 'queued'
                     AND v.queue = q.queue
                     AND NOT v.is_parked
                     AND v.is_asleep
                     AND v.due_at <= (SELECT t.now FROM term t WHERE t.state = 'active')
                   ORDER BY v.due_at
                   LIMIT $9
                     FOR NO KEY UPDATE SKIP LOCKED) AS due))
    RETURNING l.run_id
), rooms AS MATERIALIZED (
    SELECT r.name, r.room FROM term t CROSS JOIN LATERAL scheduler.room_of($2::text[], '{}', false) AS r
), found (queue, priority, tenant_id, latest_at, bottom_priority, bottom_tenant) AS (
    (SELECT q.queue, f.priority, f.tenant_id, f.due_at, s.bottom_priority, s.bottom_tenant
       FROM term t
      CROSS JOIN unnest($4::smallint[], $5::text[], $6::smallint[], $7::text[])
            AS s (top_priority, top_tenant, bottom_priority, bottom_tenant)
      CROSS JOIN unnest($2::text[]) AS q (queue)
      CROSS JOIN LATERAL (
            SELECT l.priority, l.tenant_id, l.due_at
              FROM scheduler.live_runs l
             WHERE l.state = 'queued'
               AND l.queue = q.queue
               AND NOT l.is_parked
               AND NOT l.is_asleep
               AND (l.priority, l.tenant_id COLLATE "C") < (s.top_priority, s.top_tenant)
               AND (l.priority, l.tenant_id COLLATE "C") > (s.bottom_priority, s.bottom_tenant)
             ORDER BY l.priority DESC, l.tenant_id COLLATE "C" DESC
             LIMIT 1) AS f
      WHERE t.state = 'active'
        AND q.queue NOT IN (SELECT r.name FROM rooms r WHERE r.room <= 0))
     UNION ALL
    SELECT p.queue, f.priority, f.tenant_id, f.due_at, p.bottom_priority, p.bottom_tenant
      FROM found p
     CROSS JOIN LATERAL (
           SELECT l.priority, l.tenant_id, l.due_at
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = p.queue
              AND NOT l.is_parked
              AND NOT l.is_asleep
              AND (l.priority, l.tenant_id COLLATE "C") < (p.priority, p.tenant_id)
              AND (l.priority, l.tenant_id COLLATE "C") > (p.bottom_priority, p.bottom_tenant)
            ORDER BY l.priority DESC, l.tenant_id COLLATE "C" DESC
            LIMIT 1) AS f
), walked AS MATERIALIZED (
    SELECT f.* FROM found f LIMIT $8 * cardinality($2::text[])
), lanes AS MATERIALIZED (
    SELECT a.priority, a.tenant_id, w.weight, a.in_queues, a.latest_at,
           least(w.weight * greatest(1, $3 / sum(w.weight) OVER (PARTITION BY a.priority)), t.room) AS quota
      FROM (SELECT f.priority, f.tenant_id, array_agg(f.queue) AS in_queues, max(f.latest_at) AS latest_at
              FROM walked f
             GROUP BY f.priority, f.tenant_id) AS a
     CROSS JOIN LATERAL (
           SELECT coalesce((SELECT t.weight FROM scheduler.tenants t WHERE t.id = a.tenant_id), 1::smallint) AS weight OFFSET 0) AS w
      LEFT JOIN scheduler.room_of('{}', ARRAY(SELECT DISTINCT f.tenant_id FROM walked f), false) AS t ON t.name = a.tenant_id
     WHERE t.room IS NULL OR t.room > 0
)
SELECT (SELECT count(*) FROM woken) AS woken_count, (SELECT count(*) FROM walked) AS found_count,
       NULL::smallint AS priority, NULL AS tenant_id, NULL::smallint AS weight, NULL::text[] AS queues, NULL::bigint AS quota,
       NULL::boolean AS is_early
  FROM term
 UNION ALL
(SELECT NULL, NULL, a.priority, a.tenant_id, a.weight,
        ARRAY(SELECT first.queue
                FROM unnest(a.in_queues) AS q (queue)
               CROSS JOIN LATERAL (
                     SELECT l.queue, l.due_at, l.run_id
                       FROM scheduler.live_runs l
                      WHERE l.state = 'queued'
                        AND l.queue = q.queue
                        AND l.priority = a.priority
                        AND l.tenant_id COLLATE "C" = a.tenant_id
                        AND NOT l.is_parked
                        AND NOT l.is_asleep
                        AND l.due_at <= (SELECT t.now FROM term t)
                      ORDER BY l.due_at, l.run_id
                      LIMIT least(a.quota, (SELECT r.room FROM rooms r WHERE r.name = q.queue))) AS first
               ORDER BY first.due_at, first.run_id
               LIMIT a.quota),
        a.quota, a.latest_at > (SELECT t.now FROM term t)
   FROM lanes a
  ORDER BY a.priority DESC, a.tenant_id COLLATE "C" DESC)
