-- no-transaction
-- The judgements that are marked for replay, looked for at each old job that is pruned.
DROP INDEX CONCURRENTLY IF EXISTS scheduler.policy_jobs_marked;
CREATE INDEX CONCURRENTLY policy_jobs_marked ON scheduler.policy_jobs (tenant_id) WHERE replay_pending IS NOT NULL;
