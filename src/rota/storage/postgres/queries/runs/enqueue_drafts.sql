-- Stores any number of one tenant's drafts in one round trip: a known key creates nothing (law 7).
-- Keys are inserted in their own order, so that two batches with the same keys cannot deadlock.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), drafts AS MATERIALIZED (
    SELECT d.*, c.now, scheduler.uuid7_nth(c.now, d.n) AS run_id,
           coalesce(d.fire_at, c.now) + make_interval(secs => d.delay_seconds) AS due_at
      FROM clock c
     CROSS JOIN unnest($2::jsonb[], $3::jsonb[], $4::float8[], $5::text[], $6::smallint[], $7::float8[], $8::uuid[],
                       $9::text[], $10::uuid[], $11::bigint[], $12::uuid[], $13::timestamptz[], $14::text[],
                       $15::uuid[], $16::text[])
           WITH ORDINALITY AS d (target, policy, timeout_seconds, queue, priority, delay_seconds, key,
                                 idempotency_key, schedule_id, schedule_version, trigger_id, fire_at, reason,
                                 retry_of, created_by, n)
), keyed AS (
    INSERT INTO scheduler.run_keys (key, run_id, created_at, tenant_id)
    SELECT DISTINCT ON (d.key) d.key, d.run_id, d.now, $1
      FROM drafts d
     WHERE d.key IS NOT NULL
     ORDER BY d.key, d.n
        ON CONFLICT (key) DO NOTHING
    RETURNING run_id
), recorded AS (
    INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, fire_at, schedule_id, trigger_id, schedule_version,
                                retry_of, priority, state, queue, reason, target, policy, created_by, idempotency_key)
    SELECT d.run_id, $1, d.now, d.due_at, d.fire_at, d.schedule_id, d.trigger_id, d.schedule_version,
           d.retry_of, d.priority, 'queued', d.queue, d.reason, d.target, d.policy, d.created_by, d.idempotency_key
      FROM drafts d
     WHERE d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM keyed k)
), queued AS (
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue)
    SELECT d.run_id, $1, d.schedule_id, d.due_at, d.timeout_seconds, d.priority, 'queued', d.queue
      FROM drafts d
     WHERE d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM keyed k)
), audited AS (
    INSERT INTO scheduler.audit (id, tenant_id, at, actor, verb, resource, resource_id, request_id)
    SELECT scheduler.uuid7_at(c.now), $1, c.now, $17, $18, $19, $20, $21 FROM clock c
)
SELECT d.run_id::text AS run_id, d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM keyed k) AS created
  FROM drafts d
 ORDER BY d.n
