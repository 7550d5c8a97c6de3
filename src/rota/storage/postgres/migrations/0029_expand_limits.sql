-- Limits of queues and tenants: how many of their runs may be running at once, and how many of a queue may begin in a
-- second. The previous version's workers heed none.

-- What is running is counted where it is kept, under the limit's row lock: there is no counter that could be wrong.
-- `tokens` is what was there at `tokens_at`, for a rate: see scheduler.room_of.
CREATE TABLE scheduler.limits (
    kind             text NOT NULL CHECK (kind IN ('queue', 'tenant')),
    name             text COLLATE "C" NOT NULL CHECK (name <> ''),
    version          bigint NOT NULL DEFAULT 1,
    concurrency_max  integer CHECK (concurrency_max >= 0),
    rate_per_second  double precision CHECK (rate_per_second > 0),
    burst            integer CHECK (burst >= 1),
    tokens           double precision NOT NULL DEFAULT 0,
    tokens_at        timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    updated_by       text NOT NULL,
    PRIMARY KEY (kind, name),
    CHECK (kind = 'queue' OR rate_per_second IS NULL),
    CHECK ((rate_per_second IS NULL) = (burst IS NULL)),
    CHECK (concurrency_max IS NOT NULL OR rate_per_second IS NOT NULL)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.limits TO rota_service;

-- Whether it was claimed where a limit was heeded: what runs without one costs no index entry.
ALTER TABLE scheduler.live_runs ADD COLUMN is_limited boolean NOT NULL DEFAULT false;
ALTER TABLE scheduler.live_runs ALTER COLUMN is_limited SET STATISTICS 0;

-- How many more runs of these queues and tenants may begin now, one row for each that has a limit. With `locks`, the limits
-- are locked first, in their order: then each of its statements looks afresh, and sees what others have claimed under them.
CREATE FUNCTION scheduler.room_of(in_queues text[], of_tenants text[], locks boolean)
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
                                   WHERE v.queue = l.name AND v.worker_id IS NOT NULL AND v.is_limited
                                   LIMIT l.concurrency_max) AS running)
                     ELSE
                         (SELECT count(*)::integer
                            FROM (SELECT FROM scheduler.live_runs v
                                   WHERE v.tenant_id = l.name AND v.worker_id IS NOT NULL AND v.is_limited
                                   LIMIT l.concurrency_max) AS running) END,
                     floor(1e-9 + least(l.burst, l.tokens + greatest(0, extract(epoch FROM at - l.tokens_at)) * l.rate_per_second)
                          )::integer)
          FROM scheduler.limits l
         WHERE (l.kind = 'queue' AND l.name = ANY (in_queues))
            OR (l.kind = 'tenant' AND l.name = ANY (of_tenants));
    END
    $$;

-- Takes what has begun from the tokens of a queue whose limit the caller holds.
CREATE FUNCTION scheduler.spend_tokens(of_queue text, begun integer) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        at timestamptz := scheduler.current_time();
    BEGIN
        UPDATE scheduler.limits l
           SET tokens = least(l.burst, l.tokens + greatest(0, extract(epoch FROM at - l.tokens_at)) * l.rate_per_second)
                        - begun,
               tokens_at = at
         WHERE l.kind = 'queue'
           AND l.name = of_queue
           AND l.rate_per_second IS NOT NULL;
    END
    $$;

-- Waits for the claims under way, each of which holds its worker's row, and holds up new ones until its caller commits.
CREATE FUNCTION scheduler.hold_claims() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        LOCK TABLE scheduler.workers IN EXCLUSIVE MODE;
    END
    $$;
REVOKE ALL ON FUNCTION scheduler.hold_claims() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.hold_claims() TO rota_service;
REVOKE ALL ON FUNCTION scheduler.room_of(text[], text[], boolean), scheduler.spend_tokens(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.room_of(text[], text[], boolean), scheduler.spend_tokens(text, integer) TO rota_service;
