-- One step of a backfill under the leader's fence: its runs, its progress, and at its end the event (laws 2 and 7).
-- One statement, committed by the server itself. No row: the fence is gone. The step is taken only by who has read the one
-- before it, of the schedule in the version that was planned; $16 is NULL where the schedule is gone.
-- $4 tenant_id, $5 id, $6 steps before, $7 to $15 the record after, $17 to $21 what its runs share, $22 to $24 runs, $25
-- their reason, $26 who asked for them, $27 and $28 the event or NULL. A key that was taken meanwhile makes no run.
WITH fence AS MATERIALIZED (
    SELECT l.expires_at FROM scheduler.leases l WHERE l.name = $1 AND l.epoch = $2 AND l.holder = $3 FOR KEY SHARE
), judged AS MATERIALIZED (
    SELECT f.expires_at, scheduler.current_time() AS now FROM fence f
), term AS MATERIALIZED (
    SELECT j.now, scheduler.uuid7_series(j.now) AS series FROM judged j WHERE j.expires_at > j.now
), locked AS MATERIALIZED (
    SELECT b.schedule_id, s.target
      FROM term t
     CROSS JOIN LATERAL (
           SELECT k.schedule_id
             FROM scheduler.backfills k
            WHERE k.tenant_id = $4
              AND k.id = $5
              AND k.steps_count = $6
              AND k.state = 'running'
              FOR UPDATE) AS b
     CROSS JOIN LATERAL (
           SELECT d.target
             FROM scheduler.schedules d
            WHERE d.id = b.schedule_id
              AND d.tenant_id = $4
              AND ($16::bigint IS NULL OR (d.version = $16 AND d.deleted_at IS NULL))
              FOR SHARE) AS s
), drafts AS MATERIALIZED (
    SELECT d.key, d.trigger_id, d.fire_at, d.n, k.schedule_id, k.target, t.now, scheduler.uuid7_nth(t.series, d.n) AS run_id
      FROM term t
     CROSS JOIN locked k
     CROSS JOIN unnest($22::uuid[], $23::uuid[], $24::timestamptz[]) WITH ORDINALITY AS d (key, trigger_id, fire_at, n)
), keyed AS (
    INSERT INTO scheduler.run_keys (key, run_id, created_at, tenant_id)
    SELECT d.key, d.run_id, d.now, $4 FROM drafts d ORDER BY d.key
        ON CONFLICT (key) DO NOTHING
    RETURNING run_id
), recorded AS (
    INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, fire_at, schedule_id, trigger_id, schedule_version,
                                priority, state, queue, reason, target, policy, created_by)
    SELECT d.run_id, $4, d.now, d.now, d.fire_at, d.schedule_id, d.trigger_id, $16, $20, 'queued', $19, $25, d.target,
           $17::json, $26
      FROM drafts d
     WHERE (d.run_id IN (SELECT k.run_id FROM keyed k)) IS TRUE
), queued AS (
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue,
                                     is_serial, is_asleep, key_id, key_max, wanted_at)
    SELECT d.run_id, $4, d.schedule_id, CASE WHEN $29::uuid IS NULL THEN d.now ELSE 'infinity' END, $18, $20, 'queued', $19, $21,
           $29 IS NOT NULL, $29, $30, CASE WHEN $29 IS NOT NULL THEN d.now END
      FROM drafts d
     WHERE (d.run_id IN (SELECT k.run_id FROM keyed k)) IS TRUE
), stepped AS (
    UPDATE scheduler.backfills b
       SET steps_count = $6 + 1,
           state = $7,
           reason = $8,
           created_count = $9 - cardinality($22::uuid[]) + (SELECT count(*) FROM keyed),
           skipped_count = $10 + cardinality($22::uuid[]) - (SELECT count(*) FROM keyed),
           done_through = $11,
           done_place = $12,
           paced_at = $13,
           resume_at = $14,
           ended_at = $15
      FROM locked k
     WHERE b.tenant_id = $4 AND b.id = $5
    RETURNING b.id
), told AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
    SELECT scheduler.uuid7_at(t.now), $4, t.now, $27, s.id::text, $28::jsonb
      FROM term t
     CROSS JOIN stepped s
     WHERE $27::text IS NOT NULL
)
SELECT EXISTS (SELECT FROM stepped) AS stepped FROM term
