-- Followed runs: whoever must act when a run has ended is told by a row, in the transaction that ends it, however it ends.
-- A run that nobody follows pays nothing; the previous version ends followed ones as well, since the server tells it.

ALTER TABLE scheduler.live_runs ADD COLUMN followers text[];
ALTER TABLE scheduler.live_runs ALTER COLUMN followers SET STATISTICS 0;
-- "Is any followed run live?", which decides how often the leader looks.
CREATE INDEX live_runs_followed ON scheduler.live_runs (run_id) WHERE followers IS NOT NULL;

-- A follower works its rows off and deletes them together with what it does about them: no cursor that a late commit could
-- slip past. `state` is the run's last.
CREATE TABLE scheduler.run_ends (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    ended_at   timestamptz NOT NULL,
    run_id     uuid NOT NULL,
    follower   text COLLATE "C" NOT NULL,
    tenant_id  text NOT NULL,
    state      text NOT NULL CHECK (state IN ('succeeded', 'failed', 'cancelled')),
    PRIMARY KEY (follower, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

SELECT scheduler.isolate_tenant_table('run_ends');
GRANT INSERT ON scheduler.run_ends TO rota_api;
GRANT SELECT, INSERT, DELETE ON scheduler.run_ends TO rota_service;

-- A live row goes when its run ends and never before. The record is read in a statement of its own, after the one that
-- ended the run: it has its last state then.
CREATE FUNCTION scheduler.tell_followers() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        INSERT INTO scheduler.run_ends (ended_at, run_id, follower, tenant_id, state)
        SELECT r.finished_at, r.id, f.follower, r.tenant_id, r.state
          FROM scheduler.runs r
         CROSS JOIN unnest(OLD.followers) AS f (follower)
         WHERE r.tenant_id = OLD.tenant_id
           AND r.id = OLD.run_id;
        RETURN NULL;
    END
    $$;
REVOKE ALL ON FUNCTION scheduler.tell_followers() FROM PUBLIC;

CREATE TRIGGER tell_followers AFTER DELETE ON scheduler.live_runs
    FOR EACH ROW WHEN (OLD.followers IS NOT NULL) EXECUTE FUNCTION scheduler.tell_followers();
