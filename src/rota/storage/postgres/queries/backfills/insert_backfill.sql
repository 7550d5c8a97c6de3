-- A new backfill that has done nothing yet; no row where its id is known, since its request came twice.
INSERT INTO scheduler.backfills (
       id, tenant_id, schedule_id, state, since, until, overlap, priority, runs_per_minute_max, triggers, times_count,
       created_at, created_by, paced_at, resume_at)
VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9::text::json, $10, $11, $12, $13, $14)
    ON CONFLICT (id) DO NOTHING
RETURNING id
