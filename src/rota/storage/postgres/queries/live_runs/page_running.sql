-- A tenant's running runs, newest first: driven from the live rows, whatever the history holds.
SELECT r.id::text AS id, r.tenant_id, r.schedule_id::text AS schedule_id, r.trigger_id::text AS trigger_id,
       r.schedule_version, r.fire_at, r.due_at, r.state, r.reason, r.queue, r.priority, r.target, r.policy,
       r.attempts_count, r.created_at, r.started_at, r.finished_at, r.worker_id::text AS worker_id,
       r.cancel_requested_at, r.result, r.error, r.dead_lettered, r.retry_of::text AS retry_of, r.idempotency_key,
       r.created_by
  FROM scheduler.live_runs l
 CROSS JOIN LATERAL (
       SELECT * FROM scheduler.run_records b WHERE b.tenant_id = l.tenant_id AND b.id = l.run_id OFFSET 0) AS r
 WHERE l.tenant_id = $1
   AND l.worker_id IS NOT NULL
   AND r.state = $5
   AND l.run_id < coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
   AND ($2::timestamptz IS NULL OR r.created_at > $2)
   AND ($3::text IS NULL OR r.target ->> 'task' = $3)
   AND ($4::text IS NULL OR r.queue = $4)
   AND ($10::timestamptz IS NULL OR r.created_at < $10)
   AND ($11::text IS NULL OR coalesce(r.error ->> 'failure_class', CASE WHEN r.error IS NOT NULL THEN 'unknown' END) = $11)
   AND ($12::boolean IS NULL OR r.dead_lettered = $12)
   AND ($6::uuid IS NULL OR r.schedule_id = $6)
 ORDER BY l.run_id DESC
 LIMIT $8
OFFSET $9
