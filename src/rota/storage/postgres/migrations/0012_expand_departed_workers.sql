-- Rescuing starts from workers that have left, not from all that hold anything: where a snapshot is held open elsewhere,
-- the index of held runs keeps an entry of every run that was ever claimed (see rota.storage.postgres.look_floors).

-- A worker that has left, and was seen to hold nothing after its last claim had ended. It stays so: nothing is claimed for
-- it again. The previous version writes no true here, and need not.
ALTER TABLE scheduler.workers ADD COLUMN is_cleared boolean NOT NULL DEFAULT false;
CREATE INDEX workers_to_clear ON scheduler.workers (id) WHERE state IN ('stopped', 'lost') AND NOT is_cleared;

-- A function, because it must see what was committed until the moment its caller has locked the worker.
CREATE FUNCTION scheduler.holds_runs(worker uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM scheduler.live_runs l WHERE l.worker_id = worker AND l.state = 'running');
    END
    $$;
REVOKE ALL ON FUNCTION scheduler.holds_runs(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.holds_runs(uuid) TO rota_service;
