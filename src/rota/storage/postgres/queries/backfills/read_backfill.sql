-- One backfill as it is shown.
SELECT id::text AS id, tenant_id, schedule_id::text AS schedule_id, state, since, until, overlap, priority, runs_per_minute_max,
       triggers::text AS triggers, times_count, created_at, created_by, paced_at, resume_at, created_count, skipped_count,
       steps_count, done_through, done_place, reason, ended_at
  FROM scheduler.backfills
 WHERE tenant_id = $1 AND id = $2
