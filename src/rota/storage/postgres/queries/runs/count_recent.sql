-- How many runs `page_recent` walks through; a live run's record says queued, so that no join is needed.
SELECT count(*)
  FROM scheduler.runs r
 WHERE r.tenant_id = $1
   AND r.id >= coalesce(scheduler.uuid7_floor($2), '00000000-0000-0000-0000-000000000000')
   AND ($2::timestamptz IS NULL OR r.created_at > $2)
   AND ($3::text IS NULL OR r.target ->> 'task' = $3)
   AND ($4::text IS NULL OR r.queue = $4)
   AND ($7::timestamptz IS NULL OR r.created_at < $7)
   AND ($8::text IS NULL OR coalesce(r.error ->> 'failure_class', CASE WHEN r.error IS NOT NULL THEN 'unknown' END) = $8)
   AND ($9::boolean IS NULL OR r.dead_lettered = $9)
   AND ($5::text IS NULL OR r.state = $5)
   AND ($6::uuid IS NULL OR r.schedule_id = $6)
