-- Births, claims and ends write less: fewer index entries, smaller rows.
-- The previous version goes on beside it; what it looks up by a run's id alone in live_runs takes longer until it is gone.

-- A live run has an entry in the index of the state that it is in, and none in the other: claiming it writes one, not two.
-- Each of them says that a run is there once. Their conditions differ from those of live_runs_held and live_runs_claimable,
-- so that a statement says which of two indexes can serve it: while a table is young, the planner cannot tell.
CREATE UNIQUE INDEX live_runs_queued ON scheduler.live_runs (tenant_id, run_id) WHERE state = 'queued';
CREATE UNIQUE INDEX live_runs_running ON scheduler.live_runs (run_id) WHERE worker_id IS NOT NULL;
-- What a worker is to be told: a look through all that it holds would pass what it held, too.
CREATE INDEX live_runs_to_cancel ON scheduler.live_runs (worker_id, run_id) WHERE cancel_requested_at IS NOT NULL;
ALTER TABLE scheduler.live_runs DROP CONSTRAINT live_runs_pkey;
DROP INDEX scheduler.live_runs_by_tenant;

-- Targets and policies are kept as the text that they came in: it is shorter than the parsed form and needs no printing.
DROP VIEW scheduler.run_records;
ALTER TABLE scheduler.runs ALTER COLUMN target TYPE json, ALTER COLUMN policy TYPE json;

-- The joined view that readers get (see 0002). Only a record that says `queued` can have a live row.
CREATE VIEW scheduler.run_records WITH (security_invoker = true) AS
SELECT r.id, r.tenant_id, r.schedule_id, r.trigger_id, r.schedule_version, r.fire_at,
       coalesce(l.due_at, r.due_at) AS due_at,
       CASE WHEN l.run_id IS NULL THEN r.state
            WHEN l.state = 'queued' AND l.attempts_count = 0 AND l.due_at > (SELECT scheduler.current_time()) THEN 'scheduled'
            ELSE l.state END AS state,
       r.reason, r.queue, r.priority, r.target, r.policy,
       coalesce(l.attempts_count, r.attempts_count) AS attempts_count,
       r.created_at, coalesce(r.started_at, l.started_at) AS started_at, r.finished_at,
       coalesce(l.worker_id, r.worker_id) AS worker_id, l.cancel_requested_at, r.result, r.error, r.dead_lettered,
       r.retry_of, r.idempotency_key, r.created_by, r.ended_without_success
  FROM scheduler.runs r
  LEFT JOIN LATERAL (
       SELECT * FROM scheduler.live_runs q
        WHERE q.tenant_id = r.tenant_id AND q.run_id = r.id AND q.state = 'queued' AND r.state = 'queued'
        UNION ALL
       SELECT * FROM scheduler.live_runs w
        WHERE w.tenant_id = r.tenant_id AND w.run_id = r.id AND w.worker_id IS NOT NULL AND r.state = 'queued') AS l ON true;
GRANT SELECT ON scheduler.run_records TO rota_api, rota_service;

-- As in 0002, but by the places of the rows: who holds a turn is the only one to change what is parked behind it, so that
-- they cannot have moved.
CREATE OR REPLACE FUNCTION scheduler.call_waiting(of_schedules uuid[]) RETURNS TABLE (schedule_id uuid, queue text)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    #variable_conflict use_column
    DECLARE
        free uuid[];
    BEGIN
        free := ARRAY(SELECT t.schedule_id
                        FROM scheduler.schedule_turns t
                       WHERE t.schedule_id = ANY (of_schedules)
                         AND NOT t.is_taken
                       ORDER BY t.schedule_id
                         FOR NO KEY UPDATE);
        RETURN QUERY
        WITH RECURSIVE lanes AS (
            SELECT f.id, (SELECT min(l.queue) FROM scheduler.live_runs l WHERE l.schedule_id = f.id AND l.is_parked) AS queue
              FROM unnest(free) AS f (id)
             UNION ALL
            SELECT a.id, (SELECT min(l.queue)
                            FROM scheduler.live_runs l
                           WHERE l.schedule_id = a.id AND l.is_parked AND l.queue > a.queue)
              FROM lanes a
             WHERE a.queue IS NOT NULL
        ), firsts AS MATERIALIZED (
            SELECT first.place
              FROM lanes a
             CROSS JOIN LATERAL (
                   SELECT l.ctid AS place
                     FROM scheduler.live_runs l
                    WHERE l.schedule_id = a.id AND l.queue = a.queue AND l.is_parked
                    ORDER BY l.priority DESC, l.due_at, l.run_id
                    LIMIT 1
                      FOR NO KEY UPDATE) AS first
             WHERE a.queue IS NOT NULL
        ), called AS (
            UPDATE scheduler.live_runs l
               SET is_parked = false
             WHERE l.ctid = ANY (ARRAY(SELECT f.place FROM firsts f))
               AND l.is_parked
            RETURNING l.schedule_id, l.queue
        )
        SELECT c.schedule_id, c.queue FROM called c
         UNION
        SELECT f.id, seen.queue
          FROM unnest(free) AS f (id)
         CROSS JOIN LATERAL (
               SELECT l.queue
                 FROM scheduler.live_runs l
                WHERE l.schedule_id = f.id
                  AND l.state = 'queued'
                  AND NOT l.is_parked
                  AND l.is_serial
                  AND l.due_at <= (SELECT scheduler.current_time())
               OFFSET 0) AS seen;
    END
    $$;

-- The second version of a run's row is larger than its first: with less room, one in ten found no place on its page and
-- cost index entries. New partitions take it from here, existing ones for the pages to come.
UPDATE scheduler.partitioned_tables SET page_fill_percent = 45 WHERE name = 'runs';
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT i.inhrelid::regclass FROM pg_catalog.pg_inherits i WHERE i.inhparent = 'scheduler.runs'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (fillfactor = 45)', part);
    END LOOP;
END
$$;
