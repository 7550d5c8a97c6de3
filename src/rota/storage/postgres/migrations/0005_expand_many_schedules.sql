-- Targets and policies of schedules are kept as the text that they came in, as those of runs are (see 0004): a firing
-- reads the policies and copies the target, and nobody looks inside. The previous version's writes are cast.
ALTER TABLE scheduler.schedules ALTER COLUMN target TYPE json, ALTER COLUMN policies TYPE json;

-- How many are paused, and which, is asked whenever somebody looks at the dashboard.
CREATE INDEX schedules_paused ON scheduler.schedules (tenant_id, name, id) WHERE deleted_at IS NULL AND NOT enabled;
