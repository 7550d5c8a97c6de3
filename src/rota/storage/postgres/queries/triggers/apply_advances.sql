-- Fires: advances triggers by compare-and-set and gives birth to their runs, under the leader's fence (laws 2, 4 and 7).
-- One statement, committed by the server itself, so that a leader frozen at any moment holds nothing.
-- The fence is locked before the clock is read; no row at all means that it is gone. A schedule that somebody is
-- changing this instant is passed over and read again. Keys are inserted in their own order: no deadlock.
WITH fence AS MATERIALIZED (
    SELECT l.expires_at FROM scheduler.leases l WHERE l.name = $1 AND l.epoch = $2 AND l.holder = $37 FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT f.expires_at, scheduler.current_time() AS now FROM fence f
), term AS MATERIALIZED (
    SELECT j.now, scheduler.uuid7_series(j.now) AS series FROM judged j WHERE j.expires_at > j.now
), steps AS MATERIALIZED (
    SELECT s.*, t.now
      FROM term t
     CROSS JOIN unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[],
                       $9::timestamptz[], $10::bigint[], $11::boolean[])
           WITH ORDINALITY AS s (trigger_id, schedule_id, schedule_version, tenant_id, fire_before, fired_through,
                                 next_fire_at, fires_count, cancel_live, n)
), unchanged AS MATERIALIZED (
    SELECT s.*
      FROM (SELECT * FROM steps ORDER BY schedule_id, trigger_id) AS s
     CROSS JOIN LATERAL (
           SELECT FROM scheduler.schedules d
            WHERE d.id = s.schedule_id
              AND d.version = s.schedule_version
              AND d.enabled
              AND d.deleted_at IS NULL
              FOR SHARE SKIP LOCKED) AS d
), advanced AS (
    UPDATE scheduler.triggers t
       SET next_fire_at = u.next_fire_at,
           fired_through = greatest(t.fired_through, u.fired_through),
           fires_count = u.fires_count
      FROM unchanged u
     WHERE t.id = u.trigger_id
       AND t.schedule_id = u.schedule_id
       AND t.next_fire_at = u.fire_before
    RETURNING u.n, u.schedule_id, u.tenant_id, u.cancel_live
), overlapped AS MATERIALIZED (
    SELECT l.run_id, l.tenant_id, l.schedule_id, l.state, l.attempts_count, l.is_serial
      FROM (SELECT DISTINCT a.schedule_id FROM advanced a WHERE a.cancel_live ORDER BY a.schedule_id) AS a
     CROSS JOIN LATERAL (
           SELECT * FROM scheduler.live_runs v
            WHERE v.schedule_id = a.schedule_id
            ORDER BY v.state DESC, v.is_parked, v.run_id
              FOR UPDATE) AS l
), removed AS (
    DELETE FROM scheduler.live_runs l
     USING overlapped o
     WHERE l.run_id = o.run_id
       AND o.state = 'queued'
    RETURNING o.*
), marked AS (
    UPDATE scheduler.live_runs l
       SET cancel_requested_at = coalesce(l.cancel_requested_at, t.now)
      FROM overlapped o
     CROSS JOIN term t
     WHERE l.run_id = o.run_id
       AND o.state = 'running'
), ended AS (
    UPDATE scheduler.runs r
       SET state = 'cancelled', reason = $12, attempts_count = x.attempts_count, finished_at = t.now
      FROM removed x
     CROSS JOIN term t
     WHERE r.tenant_id = x.tenant_id
       AND r.id = x.run_id
), cancellations AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
    SELECT scheduler.uuid7_at(t.now), x.tenant_id, t.now, 'RunCancelled', x.run_id::text,
           jsonb_build_object('schedule_id', x.schedule_id, 'attempt_no', x.attempts_count, 'reason', $12::text)
      FROM removed x
     CROSS JOIN term t
), called AS MATERIALIZED (
    SELECT count(*)
      FROM (SELECT array_agg(DISTINCT x.schedule_id) AS schedules FROM removed x WHERE x.is_serial HAVING count(*) > 0) AS g
     CROSS JOIN LATERAL scheduler.call_waiting(g.schedules)
), drafts AS MATERIALIZED (
    SELECT d.n, d.skipped, d.tenant_id, d.key, d.idempotency_key, d.schedule_id, d.schedule_version, d.trigger_id,
           d.fire_at, d.retry_of,
           coalesce(d.target, ($16::jsonb[])[1]) AS target,
           coalesce(d.policy, ($17::jsonb[])[1]) AS policy,
           coalesce(d.timeout_seconds, ($18::float8[])[1]) AS timeout_seconds,
           coalesce(d.queue, ($19::text[])[1]) AS queue,
           coalesce(d.priority, ($20::smallint[])[1]) AS priority,
           coalesce(d.reason, ($28::text[])[1]) AS reason,
           coalesce(d.created_by, ($30::text[])[1]) AS created_by,
           coalesce(d.is_serial, ($31::boolean[])[1]) AS is_serial,
           t.now, scheduler.uuid7_nth(t.series, d.n) AS run_id,
           coalesce(d.fire_at, t.now)
           + coalesce(d.delay_seconds, ($21::float8[])[1]) * interval '1 second' AS due_at
      FROM term t
     CROSS JOIN unnest($13::bigint[], $14::boolean[], $15::text[], $16::jsonb[], $17::jsonb[], $18::float8[],
                       $19::text[], $20::smallint[], $21::float8[], $22::uuid[], $23::text[], $24::uuid[],
                       $25::bigint[], $26::uuid[], $27::timestamptz[], $28::text[], $29::uuid[], $30::text[],
                       $31::boolean[])
           WITH ORDINALITY AS d (step, skipped, tenant_id, target, policy, timeout_seconds, queue, priority,
                                 delay_seconds, key, idempotency_key, schedule_id, schedule_version, trigger_id,
                                 fire_at, reason, retry_of, created_by, is_serial, n)
     WHERE d.step IN (SELECT a.n FROM advanced a)
), keyed AS (
    INSERT INTO scheduler.run_keys (key, run_id, created_at, tenant_id)
    SELECT DISTINCT ON (d.key) d.key, d.run_id, d.now, d.tenant_id
      FROM drafts d
     WHERE d.key IS NOT NULL
     ORDER BY d.key, d.n
        ON CONFLICT (key) DO NOTHING
    RETURNING run_id
), recorded AS (
    INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, fire_at, finished_at, schedule_id, trigger_id,
                                schedule_version, retry_of, priority, state, queue, reason, target, policy,
                                created_by, idempotency_key)
    SELECT d.run_id, d.tenant_id, d.now, d.due_at, d.fire_at, CASE WHEN d.skipped THEN d.now END, d.schedule_id,
           d.trigger_id, d.schedule_version, d.retry_of, d.priority,
           CASE WHEN d.skipped THEN 'skipped' ELSE 'queued' END, d.queue, d.reason, d.target, d.policy,
           d.created_by, d.idempotency_key
      FROM drafts d
     WHERE d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM keyed k)
    RETURNING state
), queued AS (
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue,
                                     is_serial)
    SELECT d.run_id, d.tenant_id, d.schedule_id, d.due_at, d.timeout_seconds, d.priority, 'queued', d.queue,
           d.is_serial
      FROM drafts d
     WHERE NOT d.skipped
       AND (d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM keyed k))
    RETURNING queue
), told AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
    SELECT scheduler.uuid7_nth(scheduler.uuid7_series(t.now), e.n), e.tenant_id, t.now, e.type, e.subject, e.data
      FROM term t
     CROSS JOIN unnest($32::bigint[], $33::text[], $34::text[], $35::text[], $36::jsonb[])
           WITH ORDINALITY AS e (step, tenant_id, type, subject, data, n)
     WHERE e.step IN (SELECT a.n FROM advanced a)
)
SELECT (SELECT count(*) FROM advanced) AS advanced,
       (SELECT count(*) FROM queued) AS runs_created,
       (SELECT count(*) FROM recorded r WHERE r.state = 'skipped') AS runs_skipped,
       ARRAY(SELECT DISTINCT q.queue FROM queued q ORDER BY q.queue) AS queues
  FROM term
 CROSS JOIN called
