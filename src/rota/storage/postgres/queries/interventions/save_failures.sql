-- What is remembered of a schedule's failures from now on. $1 tenant_id, $2 schedule id, $3 the failures as JSON.
INSERT INTO scheduler.schedule_failures (tenant_id, schedule_id, failures)
VALUES ($1, $2, $3::text::jsonb)
    ON CONFLICT (schedule_id) DO UPDATE SET failures = excluded.failures
