-- Stores any number of one tenant's drafts in one round trip: a known key creates nothing (law 7).
-- Keys are inserted in their own order, so that two batches with the same keys cannot deadlock.
-- What waits for other runs, or for a place of its concurrency key, has a due time that never comes (see 0027 and 0035).
-- A column that may be NULL is empty where all its values are; any other has one element where all are the same.
WITH clock AS MATERIALIZED (
    SELECT c.now, scheduler.uuid7_series(c.now) AS series FROM (SELECT scheduler.current_time() AS now) AS c
), drafts AS MATERIALIZED (
    SELECT d.n, d.key, d.idempotency_key, d.schedule_id, d.schedule_version, d.trigger_id, d.fire_at, d.retry_of,
           coalesce(d.target, ($2::json[])[1]) AS target,
           coalesce(d.policy, ($3::json[])[1]) AS policy,
           coalesce(d.timeout_seconds, ($4::float8[])[1]) AS timeout_seconds,
           coalesce(d.queue, ($5::text[])[1]) AS queue,
           coalesce(d.priority, ($6::smallint[])[1]) AS priority,
           coalesce(d.reason, ($14::text[])[1]) AS reason,
           coalesce(d.created_by, ($16::text[])[1]) AS created_by,
           coalesce(d.is_serial, ($17::boolean[])[1]) AS is_serial,
           coalesce(d.waits, ($19::boolean[])[1]) AS waits, d.key_id, d.key_max,
           c.now, scheduler.uuid7_nth(c.series, d.n) AS run_id,
           coalesce(d.due_at, coalesce(d.fire_at, c.now)
                              + coalesce(d.delay_seconds, ($7::float8[])[1]) * interval '1 second') AS due_at
      FROM clock c
     CROSS JOIN unnest($2::json[], $3::json[], $4::float8[], $5::text[], $6::smallint[], $7::float8[], $8::uuid[],
                       $9::text[], $10::uuid[], $11::bigint[], $12::uuid[], $13::timestamptz[], $14::text[],
                       $15::uuid[], $16::text[], $17::boolean[], $18::timestamptz[], $19::boolean[],
                       array_fill(true, ARRAY[$25::integer]), $26::uuid[], $27::integer[])
           WITH ORDINALITY AS d (target, policy, timeout_seconds, queue, priority, delay_seconds, key,
                                 idempotency_key, schedule_id, schedule_version, trigger_id, fire_at, reason,
                                 retry_of, created_by, is_serial, due_at, waits, is_there,
                                 key_id, key_max, n)
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
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue,
                                     is_serial, is_asleep, key_id, key_max, wanted_at)
    SELECT d.run_id, $1, d.schedule_id, CASE WHEN d.waits OR d.key_id IS NOT NULL THEN 'infinity' ELSE d.due_at END, d.timeout_seconds,
           d.priority, 'queued', d.queue, d.is_serial, d.waits OR d.due_at > d.now OR d.key_id IS NOT NULL, d.key_id, d.key_max,
           CASE WHEN d.key_id IS NOT NULL AND NOT d.waits THEN d.due_at END
      FROM drafts d
     WHERE d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM keyed k)
), audited AS (
    INSERT INTO scheduler.audit (id, tenant_id, at, actor, verb, resource, resource_id, request_id)
    SELECT scheduler.uuid7_at(c.now), $1, c.now, $20, $21, $22, $23, $24 FROM clock c WHERE $20::text IS NOT NULL
)
SELECT ARRAY(SELECT d.run_id::text FROM drafts d ORDER BY d.n) AS run_ids,
       ARRAY(SELECT d.n
               FROM drafts d
              WHERE d.key IS NOT NULL
                AND d.run_id NOT IN (SELECT k.run_id FROM keyed k)
              ORDER BY d.n) AS known_places
