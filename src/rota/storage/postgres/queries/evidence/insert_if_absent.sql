-- Written once: what is there stays as it is, and no row is returned.
INSERT INTO scheduler.evidence (tenant_id, kind, subject, occurred_at, recorded_at, recorded_by)
VALUES ($1, $2, $3, $4, scheduler.current_time(), $5)
    ON CONFLICT DO NOTHING
RETURNING tenant_id, kind, subject, occurred_at, recorded_at, recorded_by
