-- How many runs `page_running` walks through.
SELECT count(*)
  FROM scheduler.live_runs l
 CROSS JOIN LATERAL (
       SELECT * FROM scheduler.run_records b WHERE b.tenant_id = l.tenant_id AND b.id = l.run_id OFFSET 0) AS r
 WHERE l.tenant_id = $1
   AND l.worker_id IS NOT NULL
   AND r.state = $5
   AND ($2::timestamptz IS NULL OR r.created_at > $2)
   AND ($3::text IS NULL OR r.target ->> 'task' = $3)
   AND ($4::text IS NULL OR r.queue = $4)
   AND ($7::timestamptz IS NULL OR r.created_at < $7)
   AND ($8::text IS NULL OR coalesce(r.error ->> 'failure_class', CASE WHEN r.error IS NOT NULL THEN 'unknown' END) = $8)
   AND ($9::boolean IS NULL OR r.dead_lettered = $9)
   AND ($6::uuid IS NULL OR r.schedule_id = $6)
