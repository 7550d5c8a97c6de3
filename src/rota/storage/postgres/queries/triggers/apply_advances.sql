-- Fires: advances triggers by compare-and-set and gives birth to their runs, under the leader's fence (laws 2, 4 and 7).
-- One statement, committed by the server itself, so that a leader frozen at any moment holds nothing.
-- The fence is locked before the clock is read; no row at all means that it is gone. A schedule that somebody is
-- changing this instant is passed over and read again. Keys are inserted in their own order: no deadlock.
-- $4 to $11 one step per trigger, $13 to $17 what runs take from policies, $18 to $26 runs and skipped runs, $28 to $32
-- events, $33 and $34 concurrency keys by run and their maxima by policy, which may be empty. A column may be short: its first element then stands for all. A run's target and version are looked up, not
-- sent: its schedule is locked in the version that was planned. IS TRUE keeps these look-ups hashed, whatever is expected.
WITH fence AS MATERIALIZED (
    SELECT l.expires_at FROM scheduler.leases l WHERE l.name = $1 AND l.epoch = $2 AND l.holder = $3 FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT f.expires_at, scheduler.current_time() AS now FROM fence f
), term AS MATERIALIZED (
    SELECT j.now, scheduler.uuid7_series(j.now) AS series FROM judged j WHERE j.expires_at > j.now
), steps AS MATERIALIZED (
    SELECT s.n, s.trigger_id, s.schedule_id, s.schedule_version, s.next_fire_at, s.fires_count,
           coalesce(s.fire_before, ($7::timestamptz[])[1]) AS fire_before,
           coalesce(s.fired_through, ($8::timestamptz[])[1]) AS fired_through,
           coalesce(s.cancel_live, ($11::boolean[])[1]) AS cancel_live
      FROM term t
     CROSS JOIN unnest($4::text::uuid[], $5::text::uuid[], $6::text::bigint[], $7::timestamptz[], $8::timestamptz[],
                       $9::text::timestamptz[], $10::text::bigint[], $11::boolean[])
           WITH ORDINALITY AS s (trigger_id, schedule_id, schedule_version, fire_before, fired_through, next_fire_at,
                                 fires_count, cancel_live, n)
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
    RETURNING u.n, u.schedule_id, u.cancel_live
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
     WHERE l.schedule_id = o.schedule_id
       AND l.run_id = o.run_id
       AND o.state = 'queued'
    RETURNING o.*
), marked AS (
    UPDATE scheduler.live_runs l
       SET cancel_requested_at = coalesce(l.cancel_requested_at, t.now)
      FROM overlapped o
     CROSS JOIN term t
     WHERE l.schedule_id = o.schedule_id
       AND l.run_id = o.run_id
       AND o.state = 'running'
), ended AS MATERIALIZED (
    SELECT count(*)
      FROM (SELECT array_agg(x.tenant_id) AS tenants, array_agg(x.run_id) AS ids, array_agg(x.attempts_count) AS attempts
              FROM removed x
            HAVING count(*) > 0) AS g
     CROSS JOIN term t
     CROSS JOIN LATERAL scheduler.end_cancelled(g.tenants, g.ids, g.attempts, $12::text, t.now)
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
    SELECT d.n, d.trigger_id, d.schedule_id, d.key, s.tenant_id, s.version AS schedule_version, s.target,
           coalesce(d.skipped, ($19::boolean[])[1]) AS skipped,
           coalesce(d.place, ($20::integer[])[1]) AS place,
           coalesce(d.fire_at, ($24::timestamptz[])[1]) AS fire_at,
           coalesce(d.delay_seconds, ($25::float8[])[1]) * interval '1 second' AS delay,
           coalesce(d.reason, ($26::text[])[1]) AS reason,
           t.now, scheduler.uuid7_nth(t.series, d.n) AS run_id, ($33::uuid[])[d.n] AS key_id
      FROM term t
     CROSS JOIN unnest($18::text::bigint[], $19::boolean[], $20::integer[], $21::text::uuid[], $22::text::uuid[],
                       $23::text::uuid[], $24::timestamptz[], $25::float8[], $26::text[])
           WITH ORDINALITY AS d (step, skipped, place, trigger_id, schedule_id, key, fire_at, delay_seconds, reason, n)
     CROSS JOIN LATERAL (
           SELECT s.tenant_id, s.version, s.target FROM scheduler.schedules s WHERE s.id = d.schedule_id OFFSET 0) AS s
     WHERE (d.step IN (SELECT a.n FROM advanced a)) IS TRUE
), keyed AS (
    INSERT INTO scheduler.run_keys (key, run_id, created_at, tenant_id)
    SELECT DISTINCT ON (d.key) d.key, d.run_id, d.now, d.tenant_id
      FROM drafts d
     ORDER BY d.key, d.n
        ON CONFLICT (key) DO NOTHING
    RETURNING run_id
), recorded AS (
    INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, fire_at, finished_at, schedule_id, trigger_id,
                                schedule_version, priority, state, queue, reason, target, policy, created_by)
    SELECT d.run_id, d.tenant_id, d.now, d.fire_at + d.delay, d.fire_at, CASE WHEN d.skipped THEN d.now END,
           d.schedule_id, d.trigger_id, d.schedule_version, ($16::smallint[])[d.place],
           CASE WHEN d.skipped THEN 'skipped' ELSE 'queued' END, ($15::text[])[d.place], d.reason, d.target,
           ($13::json[])[d.place], $27
      FROM drafts d
     WHERE (d.run_id IN (SELECT k.run_id FROM keyed k)) IS TRUE
    RETURNING state
), queued AS (
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue,
                                     is_serial, is_asleep, key_id, key_max, wanted_at)
    SELECT d.run_id, d.tenant_id, d.schedule_id, CASE WHEN d.key_id IS NULL THEN d.fire_at + d.delay ELSE 'infinity' END, ($14::float8[])[d.place],
           ($16::smallint[])[d.place], 'queued', ($15::text[])[d.place], ($17::boolean[])[d.place],
           d.fire_at + d.delay > d.now OR d.key_id IS NOT NULL, d.key_id, ($34::integer[])[d.place],
           CASE WHEN d.key_id IS NOT NULL THEN d.fire_at + d.delay END
      FROM drafts d
     WHERE NOT d.skipped
       AND (d.run_id IN (SELECT k.run_id FROM keyed k)) IS TRUE
    RETURNING queue
), told AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
    SELECT scheduler.uuid7_nth(scheduler.uuid7_series(t.now), e.n), e.tenant_id, t.now, e.type, e.subject, e.data
      FROM term t
     CROSS JOIN unnest($28::bigint[], $29::text[], $30::text[], $31::text[], $32::jsonb[])
           WITH ORDINALITY AS e (step, tenant_id, type, subject, data, n)
     WHERE (e.step IN (SELECT a.n FROM advanced a)) IS TRUE
)
SELECT (SELECT count(*) FROM advanced) AS advanced,
       (SELECT count(*) FROM queued) AS runs_created,
       (SELECT count(*) FROM recorded r WHERE r.state = 'skipped') AS runs_skipped,
       ARRAY(SELECT DISTINCT q.queue FROM queued q ORDER BY q.queue) AS queues
  FROM term
 CROSS JOIN called
 CROSS JOIN ended
