-- no-transaction
-- The claimable, tenant by tenant. Tenants are ordered by code point, as in Python. It takes the name of the index that it
-- replaces, which statements of the previous version name; their claims sort what is queued until they are gone.
DROP INDEX CONCURRENTLY IF EXISTS scheduler.live_runs_claimable_by_tenant;
CREATE INDEX CONCURRENTLY live_runs_claimable_by_tenant
    ON scheduler.live_runs (queue, priority, tenant_id COLLATE "C", due_at, run_id)
    WHERE state = 'queued' AND NOT is_parked AND NOT is_asleep;
DROP INDEX CONCURRENTLY IF EXISTS scheduler.live_runs_asleep;
CREATE INDEX CONCURRENTLY live_runs_asleep ON scheduler.live_runs (queue, due_at)
    WHERE state = 'queued' AND NOT is_parked AND is_asleep;
DO $$
BEGIN
    DROP INDEX scheduler.live_runs_claimable;
    ALTER INDEX scheduler.live_runs_claimable_by_tenant RENAME TO live_runs_claimable;
END
$$;
