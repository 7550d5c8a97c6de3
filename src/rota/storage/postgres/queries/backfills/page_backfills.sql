-- A tenant's backfills, the newest first. $1 tenant_id, $2 id to start behind or NULL, $3 limit, $4 offset. An empty page is
-- one row without an id.
WITH total AS (
    SELECT count(*) AS total_count FROM scheduler.backfills WHERE tenant_id = $1
), listed AS (
    SELECT id::text AS id, tenant_id, schedule_id::text AS schedule_id, state, since, until, overlap, priority, runs_per_minute_max,
       triggers::text AS triggers, times_count, created_at, created_by, paced_at, resume_at, created_count, skipped_count,
       steps_count, done_through, done_place, reason, ended_at
      FROM scheduler.backfills
     WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2::uuid)
     ORDER BY scheduler.backfills.id DESC
     LIMIT $3 OFFSET $4
)
SELECT total.total_count, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.id DESC
