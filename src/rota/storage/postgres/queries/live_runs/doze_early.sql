-- Puts to sleep what is claimable and not due yet: the clock was set back, or who stored it knows of no sleep. At most $2
-- runs of each lane that was seen to hold such; only where they stand at its end, as they do.
-- service: workers claim for all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
)
UPDATE scheduler.live_runs l
   SET is_asleep = true
 WHERE l.ctid = ANY (ARRAY(
       SELECT early.place
         FROM unnest($1::text[]) AS q (queue)
        CROSS JOIN unnest($3::smallint[], $4::text[]) AS lane (priority, tenant_id)
        CROSS JOIN LATERAL (
              SELECT v.ctid AS place
                FROM scheduler.live_runs v
               WHERE v.state = 'queued'
                 AND v.queue = q.queue
                 AND v.priority = lane.priority
                 AND v.tenant_id COLLATE "C" = lane.tenant_id
                 AND NOT v.is_parked
                 AND NOT v.is_asleep
                 AND v.due_at > (SELECT c.now FROM clock c)
               ORDER BY v.due_at DESC, v.run_id DESC
               LIMIT $2
                 FOR NO KEY UPDATE SKIP LOCKED) AS early))
