-- Asks the workers to stop the running ones of a batch.
UPDATE scheduler.live_runs l
   SET cancel_requested_at = coalesce(l.cancel_requested_at, scheduler.current_time())
 WHERE l.worker_id IS NOT NULL
   AND l.tenant_id = $1
   AND l.run_id = ANY ($2::uuid[])
