-- A tenant's runs that failed, were cancelled or skipped, newest first: few among many, so they have an index.
-- Ids are found first; each run is joined with its live row alone, whatever the planner thinks of joins.
SELECT r.id::text AS id, r.tenant_id, r.schedule_id::text AS schedule_id, r.trigger_id::text AS trigger_id,
       r.schedule_version, r.fire_at, r.due_at, r.state, r.reason, r.queue, r.priority, r.target, r.policy,
       r.attempts_count, r.created_at, r.started_at, r.finished_at, r.worker_id::text AS worker_id,
       r.cancel_requested_at, r.result, r.error, r.dead_lettered, r.retry_of::text AS retry_of, r.idempotency_key,
       r.created_by
  FROM (SELECT r.id
          FROM scheduler.runs r
         WHERE r.tenant_id = $1
           AND r.ended_without_success = $5
           AND r.id >= coalesce(scheduler.uuid7_floor($2), '00000000-0000-0000-0000-000000000000')
           AND r.id < coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
           AND ($2::timestamptz IS NULL OR r.created_at > $2)
           AND ($3::text IS NULL OR r.target ->> 'task' = $3)
           AND ($4::text IS NULL OR r.queue = $4)
           AND ($10::timestamptz IS NULL OR r.created_at < $10)
           AND ($11::text IS NULL OR coalesce(r.error ->> 'failure_class', CASE WHEN r.error IS NOT NULL THEN 'unknown' END) = $11)
           AND ($12::boolean IS NULL OR r.dead_lettered = $12)
           AND ($6::uuid IS NULL OR r.schedule_id = $6)
         ORDER BY r.id DESC
         LIMIT $8
        OFFSET $9) AS found
 CROSS JOIN LATERAL (
       SELECT * FROM scheduler.run_records b WHERE b.tenant_id = $1 AND b.id = found.id OFFSET 0) AS r
 ORDER BY r.id DESC
