-- A store that falls back to an older state begins a new timeline: what was given out on the forgotten one (epochs,
-- attempts, leases, cursors of events) is never given out again, and none of it is taken for something of the new one.

-- Where the events' commit numbers begin: they are the server's transaction numbers, which a restored store counts anew.
-- `begin_timeline` replaces this function. It is STABLE so that statements that were planned before are planned anew then:
-- what is IMMUTABLE they would go on using as it was.
CREATE FUNCTION scheduler.commit_numbers_from() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT 0::bigint';

-- The number of this transaction, as it stands in events.txid.
CREATE FUNCTION scheduler.commit_number() RETURNS xid8
    LANGUAGE sql STABLE
    AS 'SELECT (pg_current_xact_id()::text::bigint + scheduler.commit_numbers_from())::text::xid8';

-- Transactions with a lower number have all ended.
CREATE FUNCTION scheduler.all_ended_below() RETURNS xid8
    LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + scheduler.commit_numbers_from())::text::xid8';

ALTER TABLE scheduler.events ALTER COLUMN txid SET DEFAULT scheduler.commit_number();

-- To be called once, as rota_owner, before anybody works on a restored store; `rota restore` does. Each step is larger than
-- all that can have been given out since the backup. Partitions come first of all: a row of today that had fallen into the
-- default one would keep today's from being made.
CREATE FUNCTION scheduler.begin_timeline() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
    DECLARE
        now timestamptz := scheduler.current_time();
        highest bigint;
    BEGIN
        PERFORM scheduler.ensure_partitions(7);
        UPDATE scheduler.leases l
           SET epoch = l.epoch + 1000000000,
               expires_at = least(l.expires_at, now);
        UPDATE scheduler.live_runs l
           SET attempt_token = l.attempt_token + (1::bigint << 52);
        UPDATE scheduler.workers w
           SET lease_expires_at = least(w.lease_expires_at, now)
         WHERE w.state IN ('active', 'draining');
        highest := greatest((SELECT e.txid FROM scheduler.events e ORDER BY e.txid DESC LIMIT 1)::text::bigint,
                            scheduler.commit_number()::text::bigint);
        EXECUTE format('CREATE OR REPLACE FUNCTION scheduler.commit_numbers_from() RETURNS bigint '
                       'LANGUAGE sql STABLE PARALLEL SAFE AS %L',
                       format('SELECT %s::bigint', highest + (1::bigint << 32)));
        INSERT INTO scheduler.events (id, at, type) VALUES (scheduler.uuid7_at(now), now, 'StoreRestored');
    END
    $$;

REVOKE ALL ON FUNCTION
    scheduler.commit_numbers_from(), scheduler.commit_number(), scheduler.all_ended_below(), scheduler.begin_timeline()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.commit_numbers_from(), scheduler.commit_number(), scheduler.all_ended_below()
    TO rota_api, rota_service;
