-- What failed, for the runs whose ends were taken: by whole keys, so that history of any length costs the same.
-- Attempts at a milestone, which have a trigger and no nominal time, are left out: each has its own back-off, and one that
-- fails may not stop others.
-- service: the leader watches all tenants.
SELECT r.id::text AS run_id, r.tenant_id, r.schedule_id::text AS schedule_id, r.created_at, r.finished_at,
       r.error ->> 'message' AS message, r.error ->> 'failure_class' AS failure_class, r.reason
  FROM unnest($1::text[], $2::uuid[]) AS g (tenant_id, run_id)
  JOIN scheduler.runs r ON r.tenant_id = g.tenant_id AND r.id = g.run_id
 WHERE r.schedule_id IS NOT NULL AND r.state = 'failed' AND r.finished_at IS NOT NULL
   AND (r.fire_at IS NOT NULL OR r.trigger_id IS NULL)
