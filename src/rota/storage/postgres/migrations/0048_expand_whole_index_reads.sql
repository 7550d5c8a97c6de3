-- Functions that could read an index of live_runs from end to end; see tests/integration/plans/test_whole_index_reads.py.

-- By the places of rows alone: a condition on the row beside them lets the server take an index that meets it, and read all
-- of it, wherever it takes the table for empty. As in 0004 otherwise: who holds a turn is the only one to change what is parked behind it, so that they cannot have moved.
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

-- Names of limits compare by bytes, queues and tenants do not: without the collation of the indexed column, what runs under
-- all limits was read for each of them. As in 0029 otherwise.
CREATE OR REPLACE FUNCTION scheduler.room_of(in_queues text[], of_tenants text[], locks boolean)
    RETURNS TABLE (kind text, name text, room integer)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    #variable_conflict use_column
    DECLARE
        at timestamptz;
    BEGIN
        IF NOT EXISTS (SELECT FROM scheduler.limits) THEN
            RETURN;
        END IF;
        IF locks THEN
            PERFORM FROM scheduler.limits l
              WHERE (l.kind = 'queue' AND l.name = ANY (in_queues))
                 OR (l.kind = 'tenant' AND l.name = ANY (of_tenants))
              ORDER BY l.kind, l.name
                FOR UPDATE;
        END IF;
        at := scheduler.current_time();
        RETURN QUERY
        SELECT l.kind, l.name::text,
               least(l.concurrency_max - CASE l.kind
                     WHEN 'queue' THEN
                         (SELECT count(*)::integer
                            FROM (SELECT FROM scheduler.live_runs v
                                   WHERE v.queue = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited
                                   LIMIT l.concurrency_max) AS running)
                     ELSE
                         (SELECT count(*)::integer
                            FROM (SELECT FROM scheduler.live_runs v
                                   WHERE v.tenant_id = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited
                                   LIMIT l.concurrency_max) AS running) END,
                     floor(1e-9 + least(l.burst, l.tokens + greatest(0, extract(epoch FROM at - l.tokens_at)) * l.rate_per_second)
                          )::integer)
          FROM scheduler.limits l
         WHERE (l.kind = 'queue' AND l.name = ANY (in_queues))
            OR (l.kind = 'tenant' AND l.name = ANY (of_tenants));
    END
    $$;
