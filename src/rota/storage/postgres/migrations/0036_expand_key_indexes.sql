-- no-transaction
-- The runs of a key that wait for a place, by lane and by time alone, and those that have one.
DROP INDEX CONCURRENTLY IF EXISTS scheduler.live_runs_key_waiting;
CREATE INDEX CONCURRENTLY live_runs_key_waiting ON scheduler.live_runs (key_id, queue, priority, wanted_at, run_id)
    WHERE wanted_at IS NOT NULL AND NOT is_parked;
DROP INDEX CONCURRENTLY IF EXISTS scheduler.live_runs_key_wanted;
CREATE INDEX CONCURRENTLY live_runs_key_wanted ON scheduler.live_runs (key_id, wanted_at)
    WHERE wanted_at IS NOT NULL AND NOT is_parked;
DROP INDEX CONCURRENTLY IF EXISTS scheduler.live_runs_key_places;
CREATE INDEX CONCURRENTLY live_runs_key_places ON scheduler.live_runs (key_id, schedule_id)
    WHERE key_id IS NOT NULL AND wanted_at IS NULL AND due_at < 'infinity';
