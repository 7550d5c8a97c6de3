-- Schedules that stop because their runs go on failing. See docs/interventions.md.

ALTER TABLE scheduler.schedules ADD COLUMN IF NOT EXISTS intervention jsonb;
ALTER TABLE scheduler.schedules ADD COLUMN IF NOT EXISTS cool_off_until timestamptz;
CREATE INDEX IF NOT EXISTS schedules_needing ON scheduler.schedules (tenant_id, name, id)
    WHERE needs_intervention AND deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS schedules_cooling ON scheduler.schedules (cool_off_until) WHERE cool_off_until IS NOT NULL;

-- The newest failures of a schedule, at most a hundred: what the rules look at. The leader alone writes it.
CREATE TABLE IF NOT EXISTS scheduler.schedule_failures (
    schedule_id  uuid PRIMARY KEY REFERENCES scheduler.schedules (id),
    tenant_id    text NOT NULL,
    failures     jsonb NOT NULL
) WITH (fillfactor = 50);
SELECT scheduler.isolate_tenant_table('schedule_failures');
GRANT SELECT, INSERT, UPDATE ON scheduler.schedule_failures TO rota_service;

-- A run of a schedule that fails for good is told to the duty by a row, in the transaction that ends it. Whoever ends a run
-- so records RunFailed, also the previous version; what succeeds pays nothing, since it records no event.
CREATE OR REPLACE FUNCTION scheduler.tell_interventions() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        INSERT INTO scheduler.run_ends (ended_at, run_id, follower, tenant_id, state)
        VALUES (NEW.at, NEW.subject::uuid, 'interventions', NEW.tenant_id, 'failed');
        RETURN NULL;
    END
    $$;
REVOKE ALL ON FUNCTION scheduler.tell_interventions() FROM PUBLIC;

CREATE OR REPLACE TRIGGER tell_interventions AFTER INSERT ON scheduler.events
    FOR EACH ROW WHEN (NEW.type = 'RunFailed' AND NEW.tenant_id IS NOT NULL AND NEW.data ->> 'schedule_id' IS NOT NULL)
    EXECUTE FUNCTION scheduler.tell_interventions();
