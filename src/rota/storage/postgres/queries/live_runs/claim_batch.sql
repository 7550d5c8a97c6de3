-- Hands due runs to one worker under its lease, each with a new token: highest priority first, then as lanes tell.
-- service: a worker serves all tenants.
-- A token grows with every claim: its upper half counts them. The lower half is the end of the worker's id, so that a store
-- that was restored never gives a token a second time to another worker.
-- The worker's row is locked before the clock is read (law 4); no row at all means that its lease has ended.
-- $2 and $5 to $7 are the lanes, each one tenant's runs of one priority in one queue, with a quota. They are drained in order,
-- and the outer limit stops at the last row needed.
-- Where a limit concerns them it locks it before it looks what has room, and claims no more (room_of).
-- Of the serial runs of a schedule, the first takes its free turn. Behind a turn that is taken, up to $4 are parked, so that
-- no later claim looks at them. A turn that somebody holds this instant, or that was never opened, is left for the next look.
WITH holder AS MATERIALIZED (
    SELECT w.id, w.state, w.lease_expires_at
      FROM scheduler.workers w
     WHERE w.id = $1
       AND w.state IN ('active', 'draining')
       FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT h.state, h.lease_expires_at, scheduler.current_time() AS now FROM holder h
), term AS MATERIALIZED (
    SELECT j.now, j.state, ('x' || right($1::uuid::text, 8))::bit(32)::bigint AS token_mark
      FROM judged j
     WHERE j.lease_expires_at > j.now
), rooms AS MATERIALIZED (
    SELECT r.kind, r.name, r.room
      FROM term t
     CROSS JOIN LATERAL scheduler.room_of($2::text[], $6::text[], true) AS r
     WHERE t.state = 'active'
), met AS MATERIALIZED (
    SELECT run.*, lane.n, lane.quota
      FROM (SELECT *
              FROM unnest($2::text[], $5::smallint[], $6::text[], $7::integer[])
                   WITH ORDINALITY AS g (queue, priority, tenant_id, quota, n)
             WHERE g.quota > 0
             ORDER BY g.priority DESC, g.n) AS lane
     CROSS JOIN LATERAL (
           SELECT l.ctid AS place, l.run_id, l.tenant_id, l.queue, l.schedule_id, l.priority, l.due_at, l.is_serial
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = lane.queue
              AND l.priority = lane.priority
              AND l.tenant_id COLLATE "C" = lane.tenant_id
              AND NOT l.is_parked
              AND NOT l.is_asleep
              AND l.due_at <= (SELECT t.now FROM term t WHERE t.state = 'active')
            ORDER BY l.due_at, l.run_id
            LIMIT lane.quota
              FOR UPDATE SKIP LOCKED) AS run
     LIMIT $3
), picked AS MATERIALIZED (
    SELECT m.* FROM met m WHERE NOT EXISTS (SELECT FROM rooms)
     UNION ALL
    SELECT m.place, m.run_id, m.tenant_id, m.queue, m.schedule_id, m.priority, m.due_at, m.is_serial, m.n, m.quota
      FROM (SELECT o.*, row_number() OVER (PARTITION BY o.tenant_id ORDER BY o.nth) AS place_in_tenant,
                   row_number() OVER (PARTITION BY o.queue ORDER BY o.nth) AS place_in_queue
              FROM (SELECT m.*, row_number() OVER (ORDER BY m.priority DESC, m.due_at, m.run_id) AS nth FROM met m) AS o) AS m
      LEFT JOIN rooms r ON r.kind = 'tenant' AND r.name = m.tenant_id
      LEFT JOIN rooms q ON q.kind = 'queue' AND q.name = m.queue
     WHERE EXISTS (SELECT FROM rooms)
       AND (r.room IS NULL OR m.place_in_tenant <= r.room)
       AND (q.room IS NULL OR m.place_in_queue <= q.room)
), outlook AS MATERIALIZED (
    SELECT (SELECT count(*) FROM picked) AS picked_count,
           EXISTS (SELECT FROM picked p GROUP BY p.n, p.quota HAVING count(*) >= p.quota) AS has_filled
), firsts AS MATERIALIZED (
    SELECT DISTINCT ON (p.schedule_id) p.place, p.schedule_id, p.tenant_id
      FROM picked p
     WHERE p.is_serial
     ORDER BY p.schedule_id, p.priority DESC, p.due_at, p.run_id
), unopened AS MATERIALIZED (
    SELECT f.schedule_id, f.tenant_id
      FROM firsts f
      LEFT JOIN LATERAL (
           SELECT true AS is_open FROM scheduler.schedule_turns t WHERE t.schedule_id = f.schedule_id OFFSET 0) AS t ON true
     WHERE t.is_open IS NULL
), turns AS MATERIALIZED (
    SELECT f.place, f.schedule_id, t.is_taken
      FROM firsts f
     CROSS JOIN LATERAL (
           SELECT t.is_taken FROM scheduler.schedule_turns t
            WHERE t.schedule_id = f.schedule_id
              FOR NO KEY UPDATE SKIP LOCKED) AS t
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
                                     WHERE (r.kind = 'queue' AND r.name = l.queue)
                                        OR (r.kind = 'tenant' AND r.name = l.tenant_id))
      FROM term t
     WHERE l.ctid = ANY (ARRAY(SELECT p.place FROM picked p WHERE NOT p.is_serial
                               UNION ALL
                               SELECT f.place FROM turns f WHERE NOT f.is_taken))
    RETURNING l.run_id, l.tenant_id, l.attempt_token, l.attempts_count, l.losses_count, l.queue, l.priority, l.due_at,
              l.schedule_id, l.is_serial
), spent AS MATERIALIZED (
    SELECT count(*)
      FROM (SELECT c.queue, count(*)::integer AS begun
              FROM claimed c
             WHERE EXISTS (SELECT FROM rooms r WHERE r.kind = 'queue')
             GROUP BY c.queue) AS g
     CROSS JOIN LATERAL scheduler.spend_tokens(g.queue, g.begun)
), taken AS (
    UPDATE scheduler.schedule_turns t
       SET is_taken = true
     WHERE t.schedule_id = ANY (ARRAY(SELECT c.schedule_id FROM claimed c WHERE c.is_serial))
), parked AS (
    UPDATE scheduler.live_runs l
       SET is_parked = true
     WHERE l.ctid = ANY (ARRAY(
           SELECT behind.place
             FROM (SELECT f.schedule_id FROM turns f WHERE f.is_taken) AS f
            CROSS JOIN LATERAL (
                  SELECT v.ctid AS place
                    FROM scheduler.live_runs v
                   WHERE v.schedule_id = f.schedule_id
                     AND v.state = 'queued'
                     AND NOT v.is_parked
                     AND v.is_serial
                     AND v.due_at <= (SELECT t.now FROM term t)
                   LIMIT $4
                     FOR NO KEY UPDATE SKIP LOCKED) AS behind
            LIMIT $4))
    RETURNING l.run_id
), records AS MATERIALIZED (
    SELECT found.*
      FROM (SELECT c.tenant_id, array_agg(c.run_id ORDER BY c.run_id) AS ids FROM claimed c GROUP BY c.tenant_id) AS wanted
     CROSS JOIN LATERAL scheduler.records_of(wanted.tenant_id, wanted.ids) AS found
)
SELECT t.now AS claimed_at, c.run_id::text AS run_id, c.tenant_id, c.attempt_token, c.attempts_count, c.losses_count, c.queue,
       r.schedule_id::text AS schedule_id, r.fire_at, r.target::text AS target, r.policy::text AS policy,
       c.priority, c.due_at, o.picked_count, o.has_filled, (SELECT count(*) FROM parked) AS parked_count,
       ARRAY(SELECT u.schedule_id::text FROM unopened u) AS unopened,
       ARRAY(SELECT u.tenant_id FROM unopened u) AS unopened_of
  FROM term t
 CROSS JOIN outlook o
 CROSS JOIN spent
  LEFT JOIN (claimed c FULL JOIN records r ON r.id = c.run_id) ON true
 ORDER BY c.priority DESC, c.due_at, c.run_id
