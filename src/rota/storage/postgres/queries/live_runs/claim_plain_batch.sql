-- Hands due runs to one worker under its lease, as claim_batch does: those of one queue that are not serial, the common
-- case, for which a short statement costs half. The serial ones that it meets are left alone, and it says that it met some.
-- service: a worker serves all tenants.
-- It looks through lanes, each one tenant's runs of one priority: those of $4 to $8, up to their quota and from their floor
-- on, and those that it finds in the stretches of $10 to $13, each from a lane (exclusive) down to another (exclusive), which
-- come first in their priority and share by weight. At most $14 are found. What sleeps and is due is woken, up to $16; unless
-- these are as many, nothing is claimed, and the next look finds all in their order.
-- Where a limit concerns them it locks it before it looks what has room, and claims no more (room_of).
-- A lane without room is told as -1.
-- Its first row, without a run, is there unless the worker's lease has ended; it tells of lanes, and of index entries passed.
-- The records of a tenant's runs are read in one go, in the order of their ids; the full join can only be a hash or merge
-- join, whatever the planner expects. From $9 on the look is full: it heeds no floor (lane_looks).
WITH RECURSIVE holder AS MATERIALIZED (
    SELECT w.id, w.state, w.lease_expires_at
      FROM scheduler.workers w
     WHERE w.id = $1
       AND w.state IN ('active', 'draining')
       FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT h.state, h.lease_expires_at, scheduler.current_time() AS now,
           pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_claimable'::regclass)
           + pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_asleep'::regclass) AS entries_before
      FROM holder h
), term AS MATERIALIZED (
    SELECT j.now, j.state, j.entries_before, coalesce(j.now >= $9, true) AS is_full,
           ('x' || right($1::uuid::text, 8))::bit(32)::bigint AS token_mark
      FROM judged j
     WHERE j.lease_expires_at > j.now
), woken AS (
    UPDATE scheduler.live_runs l
       SET is_asleep = false
     WHERE l.ctid = ANY (ARRAY(
           SELECT v.ctid
             FROM scheduler.live_runs v
            WHERE v.state = 'queued'
              AND v.queue = $2
              AND NOT v.is_parked
              AND v.is_asleep
              AND v.due_at <= (SELECT t.now FROM term t WHERE t.state = 'active')
              AND v.due_at > coalesce((SELECT $15::timestamptz FROM term t WHERE NOT t.is_full), '-infinity')
            ORDER BY v.due_at
            LIMIT $16
              FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING l.run_id
), found (n, priority, tenant_id, latest_at, bottom_priority, bottom_tenant) AS (
    (SELECT s.n, f.priority, f.tenant_id, f.due_at, s.bottom_priority, s.bottom_tenant
       FROM term t
      CROSS JOIN unnest($10::smallint[], $11::text[], $12::smallint[], $13::text[])
            WITH ORDINALITY AS s (top_priority, top_tenant, bottom_priority, bottom_tenant, n)
      CROSS JOIN LATERAL (
            SELECT l.priority, l.tenant_id, l.due_at
              FROM scheduler.live_runs l
             WHERE l.state = 'queued'
               AND l.queue = $2
               AND NOT l.is_parked
               AND NOT l.is_asleep
               AND (l.priority, l.tenant_id COLLATE "C") < (s.top_priority, s.top_tenant)
               AND (l.priority, l.tenant_id COLLATE "C") > (s.bottom_priority, s.bottom_tenant)
             ORDER BY l.priority DESC, l.tenant_id COLLATE "C" DESC
             LIMIT 1) AS f
      WHERE t.state = 'active')
     UNION ALL
    SELECT p.n, f.priority, f.tenant_id, f.due_at, p.bottom_priority, p.bottom_tenant
      FROM found p
     CROSS JOIN LATERAL (
           SELECT l.priority, l.tenant_id, l.due_at
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = $2
              AND NOT l.is_parked
              AND NOT l.is_asleep
              AND (l.priority, l.tenant_id COLLATE "C") < (p.priority, p.tenant_id)
              AND (l.priority, l.tenant_id COLLATE "C") > (p.bottom_priority, p.bottom_tenant)
            ORDER BY l.priority DESC, l.tenant_id COLLATE "C" DESC
            LIMIT 1) AS f
), offered AS MATERIALIZED (
    SELECT a.priority, a.tenant_id, w.weight, a.floor_at, a.floor_id, a.place, a.latest_at,
           a.quota
      FROM (SELECT g.priority, g.tenant_id, g.quota, g.floor_at, g.floor_id, g.place + $14 AS place,
                   NULL::timestamptz AS latest_at
              FROM unnest($4::smallint[], $5::text[], $6::integer[], $7::timestamptz[], $8::uuid[])
                   WITH ORDINALITY AS g (priority, tenant_id, quota, floor_at, floor_id, place)
             UNION ALL
            SELECT f.priority, f.tenant_id, NULL, NULL, NULL, row_number() OVER (), f.latest_at
              FROM (SELECT * FROM found LIMIT $14) AS f) AS a
     CROSS JOIN LATERAL (
           SELECT coalesce((SELECT t.weight FROM scheduler.tenants t WHERE t.id = a.tenant_id), 1::smallint) AS weight OFFSET 0) AS w
     WHERE (SELECT count(*) NOT BETWEEN 1 AND $16 - 1 FROM woken)
), rooms AS MATERIALIZED (
    SELECT r.kind, r.name, r.room
      FROM term t
     CROSS JOIN LATERAL scheduler.room_of(ARRAY[$2], ARRAY(SELECT DISTINCT o.tenant_id FROM offered o), true) AS r
     WHERE t.state = 'active'
), lanes AS MATERIALIZED (
    SELECT o.priority, o.tenant_id, o.weight, o.floor_at, o.floor_id, o.place, o.latest_at,
           CASE WHEN r.room <= 0 THEN -1
           ELSE least(coalesce(o.quota, o.weight * greatest(1, $3 / greatest(1, sum(o.weight) FILTER (WHERE r.room IS NULL OR r.room > 0)
                                                                              OVER (PARTITION BY o.priority)))),
                      r.room) END AS quota
      FROM offered o
      LEFT JOIN rooms r ON r.kind = 'tenant' AND r.name = o.tenant_id
), met AS MATERIALIZED (
    SELECT run.place, run.is_serial, run.due_at, run.run_id, lane.priority, lane.tenant_id
      FROM (SELECT * FROM lanes WHERE quota > 0 ORDER BY priority DESC, place) AS lane
     CROSS JOIN LATERAL (
           SELECT l.ctid AS place, l.is_serial, l.due_at, l.run_id
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = $2
              AND l.priority = lane.priority
              AND l.tenant_id COLLATE "C" = lane.tenant_id
              AND NOT l.is_parked
              AND NOT l.is_asleep
              AND l.due_at <= (SELECT t.now FROM term t WHERE t.state = 'active')
              AND (l.due_at, l.run_id)
                  > (coalesce((SELECT lane.floor_at FROM term t WHERE NOT t.is_full), '-infinity'),
                     coalesce(lane.floor_id, '00000000-0000-0000-0000-000000000000'))
            ORDER BY l.due_at, l.run_id
            LIMIT lane.quota
              FOR UPDATE SKIP LOCKED) AS run
     LIMIT least($3, (SELECT r.room FROM rooms r WHERE r.kind = 'queue'))
), picked AS MATERIALIZED (
    SELECT m.place, m.is_serial, m.priority, m.tenant_id FROM met m WHERE NOT EXISTS (SELECT FROM rooms)
     UNION ALL
    SELECT m.place, m.is_serial, m.priority, m.tenant_id
      FROM (SELECT m.*, row_number() OVER (PARTITION BY m.tenant_id ORDER BY m.priority DESC, m.due_at, m.run_id) AS place_in_tenant
              FROM met m) AS m
      LEFT JOIN rooms r ON r.kind = 'tenant' AND r.name = m.tenant_id
     WHERE EXISTS (SELECT FROM rooms)
       AND (r.room IS NULL OR m.place_in_tenant <= r.room)
), claimed AS (
    UPDATE scheduler.live_runs l
       SET state = 'running',
           worker_id = $1,
           attempt_token = ((l.attempt_token >> 32) + 1) << 32 | t.token_mark,
           attempts_count = l.attempts_count + 1,
           started_at = t.now,
           hard_deadline_at = t.now + make_interval(secs => l.timeout_seconds),
           is_limited = (SELECT count(*) > 0 FROM rooms)
                        AND EXISTS (SELECT FROM rooms r
                                     WHERE (r.kind = 'queue' AND r.name = $2)
                                        OR (r.kind = 'tenant' AND r.name = l.tenant_id))
      FROM term t
     WHERE l.ctid = ANY (ARRAY(SELECT p.place FROM picked p WHERE NOT p.is_serial))
    RETURNING l.run_id, l.tenant_id, l.attempt_token, l.attempts_count, l.losses_count, l.priority, l.due_at
), spent AS MATERIALIZED (
    SELECT count(*)
      FROM (SELECT count(*)::integer AS begun FROM claimed WHERE EXISTS (SELECT FROM rooms r WHERE r.kind = 'queue')) AS c
     CROSS JOIN LATERAL scheduler.spend_tokens($2, c.begun)
     WHERE c.begun > 0
), records AS MATERIALIZED (
    SELECT found.*
      FROM (SELECT c.tenant_id, array_agg(c.run_id ORDER BY c.run_id) AS ids FROM claimed c GROUP BY c.tenant_id) AS wanted
     CROSS JOIN LATERAL scheduler.records_of(wanted.tenant_id, wanted.ids) AS found
), seen AS MATERIALIZED (
    SELECT array_agg(a.priority ORDER BY a.priority DESC, a.place) AS priorities,
           array_agg(a.tenant_id ORDER BY a.priority DESC, a.place) AS tenants,
           array_agg(a.weight ORDER BY a.priority DESC, a.place) AS weights,
           array_agg(a.quota ORDER BY a.priority DESC, a.place) AS quotas,
           array_agg(coalesce(c.picked_count, 0) ORDER BY a.priority DESC, a.place) AS picked_counts,
           count(*) FILTER (WHERE a.latest_at IS NOT NULL) AS found_count,
           array_agg(coalesce(a.latest_at > (SELECT t.now FROM term t), false) ORDER BY a.priority DESC, a.place) AS are_early
      FROM lanes a
      LEFT JOIN (SELECT p.priority, p.tenant_id, count(*) AS picked_count FROM picked p GROUP BY p.priority, p.tenant_id) AS c
             ON c.priority = a.priority AND c.tenant_id = a.tenant_id
)
SELECT t.now AS claimed_at, NULL AS run_id, NULL AS tenant_id, NULL::bigint AS attempt_token, NULL::integer AS attempts_count,
       NULL::integer AS losses_count, NULL AS schedule_id, NULL::timestamptz AS fire_at, NULL AS target, NULL AS policy,
       (SELECT bool_or(p.is_serial) FROM picked p) AS met_serial, NULL::smallint AS priority, NULL::timestamptz AS due_at,
       t.is_full,
       (SELECT pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_claimable'::regclass)
               + pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_asleep'::regclass)
          FROM (SELECT count(*) FROM picked) AS done) - t.entries_before AS entries_count,
       (SELECT count(*) FROM woken) AS woken_count,
       s.priorities, s.tenants, s.weights, s.quotas, s.picked_counts, s.found_count, s.are_early,
       (SELECT count(*) > 0 FROM rooms) AS met_limit
  FROM term t
 CROSS JOIN seen s
 CROSS JOIN spent
 UNION ALL
(SELECT NULL, c.run_id::text, c.tenant_id, c.attempt_token, c.attempts_count, c.losses_count, r.schedule_id::text, r.fire_at,
        r.target::text, r.policy::text, NULL, c.priority, c.due_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
   FROM claimed c
   FULL JOIN records r ON r.id = c.run_id
  ORDER BY c.priority DESC, c.due_at, c.run_id)
