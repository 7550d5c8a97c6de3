-- Hands due runs to one worker under its lease, as claim_batch does: those of one queue that are not serial, the common
-- case, for which a short statement costs half. The serial ones that it meets are left alone, and it says that it met some.
-- service: a worker serves all tenants.
-- Its first row, without a run, is there unless the worker's lease has ended. The records of a tenant's runs are read in one
-- go, in the order of their ids; the full join can only be a hash or merge join, whatever the planner expects.
-- Until $6 a look begins behind the place of its lane in $4 and $5; it says how many index entries it passed (look_floors).
WITH holder AS MATERIALIZED (
    SELECT w.id, w.state, w.lease_expires_at
      FROM scheduler.workers w
     WHERE w.id = $1
       AND w.state IN ('active', 'draining')
       FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT h.state, h.lease_expires_at, scheduler.current_time() AS now,
           pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_claimable'::regclass) AS entries_before
      FROM holder h
), term AS MATERIALIZED (
    SELECT j.now, j.state, j.entries_before, coalesce(j.now >= $6, true) AS is_full,
           ('x' || right($1::uuid::text, 8))::bit(32)::bigint AS token_mark
      FROM judged j
     WHERE j.lease_expires_at > j.now
), picked AS MATERIALIZED (
    SELECT run.place, run.is_serial
      FROM generate_series(9, 0, -1) AS lane (priority)
     CROSS JOIN LATERAL (
           SELECT l.ctid AS place, l.is_serial
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = $2
              AND l.priority = lane.priority
              AND NOT l.is_parked
              AND l.due_at <= (SELECT t.now FROM term t WHERE t.state = 'active')
              AND (l.due_at, l.run_id)
                  > (coalesce((SELECT ($4::timestamptz[])[lane.priority + 1] FROM term t WHERE NOT t.is_full), '-infinity'),
                     coalesce(($5::uuid[])[lane.priority + 1], '00000000-0000-0000-0000-000000000000'))
            ORDER BY l.due_at, l.run_id
            LIMIT $3
              FOR UPDATE SKIP LOCKED) AS run
     LIMIT $3
), claimed AS (
    UPDATE scheduler.live_runs l
       SET state = 'running',
           worker_id = $1,
           attempt_token = ((l.attempt_token >> 32) + 1) << 32 | t.token_mark,
           attempts_count = l.attempts_count + 1,
           started_at = t.now,
           hard_deadline_at = t.now + make_interval(secs => l.timeout_seconds)
      FROM term t
     WHERE l.ctid = ANY (ARRAY(SELECT p.place FROM picked p WHERE NOT p.is_serial))
       AND l.state = 'queued'
    RETURNING l.run_id, l.tenant_id, l.attempt_token, l.attempts_count, l.losses_count, l.priority, l.due_at
), records AS MATERIALIZED (
    SELECT found.*
      FROM (SELECT c.tenant_id, array_agg(c.run_id ORDER BY c.run_id) AS ids FROM claimed c GROUP BY c.tenant_id) AS wanted
     CROSS JOIN LATERAL scheduler.records_of(wanted.tenant_id, wanted.ids) AS found
)
SELECT t.now AS claimed_at, NULL AS run_id, NULL AS tenant_id, NULL::bigint AS attempt_token, NULL::integer AS attempts_count,
       NULL::integer AS losses_count, NULL AS schedule_id, NULL::timestamptz AS fire_at, NULL AS target, NULL AS policy,
       (SELECT bool_or(p.is_serial) FROM picked p) AS met_serial, NULL::smallint AS priority, NULL::timestamptz AS due_at,
       t.is_full,
       (SELECT pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_claimable'::regclass)
          FROM (SELECT count(*) FROM picked) AS done) - t.entries_before AS entries_count
  FROM term t
 UNION ALL
(SELECT NULL, c.run_id::text, c.tenant_id, c.attempt_token, c.attempts_count, c.losses_count, r.schedule_id::text, r.fire_at,
        r.target::text, r.policy::text, NULL, c.priority, c.due_at, NULL, NULL
   FROM claimed c
   FULL JOIN records r ON r.id = c.run_id
  ORDER BY c.priority DESC, c.due_at, c.run_id)
