-- no-transaction
-- What is running under a limit, counted by queue and by tenant at each claim under it.
DROP INDEX CONCURRENTLY IF EXISTS scheduler.live_runs_limited_of_queue;
CREATE INDEX CONCURRENTLY live_runs_limited_of_queue ON scheduler.live_runs (queue) WHERE worker_id IS NOT NULL AND is_limited;
DROP INDEX CONCURRENTLY IF EXISTS scheduler.live_runs_limited_of_tenant;
CREATE INDEX CONCURRENTLY live_runs_limited_of_tenant ON scheduler.live_runs (tenant_id)
    WHERE worker_id IS NOT NULL AND is_limited;
