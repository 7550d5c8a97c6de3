-- Locks of tenants: a row says who holds a lock and by which token; a session's advisory lock may prove that its holder lives.
-- The row is authoritative. See docs/locks.md.

-- The stable number of a lock: the first 8 bytes of SHA-256 over 'rota/lock', the tenant and the name, each behind a zero
-- byte. rota.core.lock_key computes the same. It is published: never change it.
CREATE FUNCTION scheduler.lock_key(tenant text, lock_name text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT ('x' || encode(substring(sha256(
               'rota/lock'::bytea || '\x00'::bytea || convert_to(tenant, 'UTF8') || '\x00'::bytea || convert_to(lock_name, 'UTF8')
           ) FROM 1 FOR 8), 'hex'))::bit(64)::bigint
    $$;

-- Epochs of locks are above this number. A restored store begins a new timeline, which raises it above all that were given
-- out before: what an older epoch held is free, and no epoch is given out twice.
CREATE FUNCTION scheduler.lock_epochs_from() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT scheduler.commit_numbers_from()';

-- `session_pid`: held for as long as that session lives and holds the lock's advisory lock; else until `expires_at`.
-- A fence takes FOR KEY SHARE: renewals pass, a take-over changes `epoch`, which is part of a key, and waits (design law 2).
CREATE TABLE scheduler.locks (
    tenant_id    text NOT NULL REFERENCES scheduler.tenants (id),
    name         text COLLATE "C" NOT NULL,
    epoch        bigint NOT NULL,
    holder       text NOT NULL,
    request_key  text NOT NULL DEFAULT '',
    session_pid  integer,
    acquired_at  timestamptz NOT NULL,
    expires_at   timestamptz,
    released_at  timestamptz,
    PRIMARY KEY (tenant_id, name),
    UNIQUE (tenant_id, name, epoch),
    CONSTRAINT locks_end_by_time_or_session CHECK (session_pid IS NULL OR expires_at IS NULL)
) WITH (fillfactor = 50);

-- One row per tenant, locked while a lock of it is born or pruned. No lock is born with an epoch of `epoch_floor` or below:
-- so the epochs of a name rise for ever, also after its row was pruned.
CREATE TABLE scheduler.lock_ledgers (
    tenant_id     text PRIMARY KEY REFERENCES scheduler.tenants (id),
    locks_count   integer NOT NULL,
    births_count  bigint NOT NULL,
    epoch_floor   bigint NOT NULL
);

SELECT scheduler.isolate_tenant_table('locks');
SELECT scheduler.isolate_tenant_table('lock_ledgers');

CREATE FUNCTION scheduler.session_holds_lock(key bigint, session_pid integer) RETURNS boolean
    LANGUAGE sql VOLATILE
    AS $$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks l
         WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
           AND l.classid = ((key >> 32) & 4294967295)::oid
           AND l.objid = (key & 4294967295)::oid
           AND l.pid = session_pid)
    $$;

CREATE FUNCTION scheduler.lock_is_held(seen scheduler.locks, at timestamptz) RETURNS boolean
    LANGUAGE sql VOLATILE
    AS $$
    SELECT CASE WHEN (seen).released_at IS NOT NULL OR (seen).epoch <= scheduler.lock_epochs_from() THEN false
                WHEN (seen).session_pid IS NULL THEN coalesce((seen).expires_at > at, false)
                ELSE scheduler.session_holds_lock(scheduler.lock_key((seen).tenant_id, (seen).name), (seen).session_pid) END
    $$;

-- Removes up to 1000 of a tenant's locks that have been free for so long; the caller holds the tenant's ledger.
CREATE FUNCTION scheduler.prune_locks(tenant text, free_for interval) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
    DECLARE
        now timestamptz := scheduler.current_time();
        gone_count integer;
        highest bigint;
    BEGIN
        WITH old AS MATERIALIZED (
            SELECT l.name
              FROM scheduler.locks l
             WHERE l.tenant_id = tenant
               AND NOT scheduler.lock_is_held(l, now)
               AND coalesce(l.released_at, l.expires_at, l.acquired_at) <= now - free_for
             ORDER BY coalesce(l.released_at, l.expires_at, l.acquired_at)
             LIMIT 1000
               FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM scheduler.locks l USING old WHERE l.tenant_id = tenant AND l.name = old.name RETURNING l.epoch
        )
        SELECT count(*), coalesce(max(g.epoch), 0) INTO gone_count, highest FROM gone g;
        UPDATE scheduler.lock_ledgers g
           SET locks_count = g.locks_count - gone_count,
               epoch_floor = greatest(g.epoch_floor, highest)
         WHERE g.tenant_id = tenant;
        RETURN gone_count;
    END
    $$;

-- Makes the row of a lock that nobody has held yet; false where the tenant has `locks_max`. Every hundredth birth prunes
-- what was free for a week, and a full ledger whatever is free, so that the table needs no other keeper.
CREATE FUNCTION scheduler.open_lock(tenant text, lock_name text, locks_max integer) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
    DECLARE
        ledger scheduler.lock_ledgers;
        now timestamptz;
    BEGIN
        INSERT INTO scheduler.lock_ledgers VALUES (tenant, 0, 0, 0) ON CONFLICT (tenant_id) DO NOTHING;
        SELECT * INTO STRICT ledger FROM scheduler.lock_ledgers g WHERE g.tenant_id = tenant FOR UPDATE;
        IF EXISTS (SELECT FROM scheduler.locks l WHERE l.tenant_id = tenant AND l.name = lock_name) THEN
            RETURN true;
        END IF;
        IF ledger.locks_count >= locks_max THEN
            PERFORM scheduler.prune_locks(tenant, '0');
        ELSIF (ledger.births_count + 1) % 100 = 0 THEN
            PERFORM scheduler.prune_locks(tenant, '7 days');
        END IF;
        UPDATE scheduler.lock_ledgers g
           SET locks_count = g.locks_count + 1,
               births_count = g.births_count + 1
         WHERE g.tenant_id = tenant AND g.locks_count < locks_max
        RETURNING * INTO ledger;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        now := scheduler.current_time();
        INSERT INTO scheduler.locks (tenant_id, name, epoch, holder, acquired_at, expires_at, released_at)
        VALUES (tenant, lock_name, ledger.epoch_floor, '', now, now, now);
        RETURN true;
    END
    $$;

-- Takes a lock that is free, with the next epoch. `outcome`: acquired; held; repeated (held under the very `new_key`); by_session
-- (free by its row, but somebody's session has its advisory lock); full (the tenant has `locks_max`).
-- It looks first without a lock, so that contenders of a held lock write nothing and wait for nobody; what looks free is
-- locked and then looked at again (design law 4). Nobody waits longer than `lock_timeout` for a frozen process.
CREATE FUNCTION scheduler.acquire_lock(
    tenant text, lock_name text, new_holder text, ttl_seconds double precision, new_key text, locks_max integer,
    for_session boolean DEFAULT false,
    OUT outcome text, OUT lost_epoch bigint, OUT lost_holder text)
    LANGUAGE plpgsql SET search_path = pg_catalog SET lock_timeout = '250ms'
    AS $$
    DECLARE
        seen scheduler.locks;
        now timestamptz;
    BEGIN
        SELECT * INTO seen FROM scheduler.locks l WHERE l.tenant_id = tenant AND l.name = lock_name;
        IF NOT FOUND AND NOT scheduler.open_lock(tenant, lock_name, locks_max) THEN
            outcome := 'full';
            RETURN;
        END IF;
        IF seen.name IS NULL OR NOT scheduler.lock_is_held(seen, scheduler.current_time()) THEN
            SELECT * INTO STRICT seen FROM scheduler.locks l WHERE l.tenant_id = tenant AND l.name = lock_name FOR UPDATE;
        END IF;
        now := scheduler.current_time();
        IF scheduler.lock_is_held(seen, now) THEN
            outcome := CASE WHEN new_key <> '' AND seen.request_key = new_key THEN 'repeated' ELSE 'held' END;
            RETURN;
        END IF;
        IF NOT pg_try_advisory_xact_lock(scheduler.lock_key(tenant, lock_name)) THEN
            outcome := 'by_session';
            RETURN;
        END IF;
        UPDATE scheduler.locks l
           SET epoch = greatest(l.epoch, scheduler.lock_epochs_from()) + 1,
               holder = new_holder,
               request_key = new_key,
               session_pid = CASE WHEN for_session THEN pg_backend_pid() END,
               acquired_at = now,
               expires_at = CASE WHEN for_session THEN NULL ELSE now + make_interval(secs => ttl_seconds) END,
               released_at = NULL
         WHERE l.tenant_id = tenant AND l.name = lock_name;
        outcome := 'acquired';
        IF seen.released_at IS NULL THEN
            lost_epoch := seen.epoch;
            lost_holder := seen.holder;
        END IF;
    END
    $$;

-- For whoever holds a session of their own, past any pooler: takes the lock for as long as this session lives and answers
-- its token, or NULL where it is held, also by this very session. The end of the session, however it ends, frees the lock
-- at once. `locks_max` as in rota.domain.lock.
CREATE FUNCTION scheduler.try_session_lock(tenant text, lock_name text, new_holder text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
    DECLARE
        key bigint := scheduler.lock_key(tenant, lock_name);
        taken text;
    BEGIN
        IF scheduler.session_holds_lock(key, pg_backend_pid()) OR NOT pg_try_advisory_lock(key) THEN
            RETURN NULL;
        END IF;
        BEGIN
            SELECT a.outcome INTO taken FROM scheduler.acquire_lock(tenant, lock_name, new_holder, 0, '', 10000, true) AS a;
        EXCEPTION WHEN OTHERS OR query_canceled THEN
            PERFORM pg_advisory_unlock(key);
            RAISE;
        END;
        IF taken <> 'acquired' THEN
            PERFORM pg_advisory_unlock(key);
            RETURN NULL;
        END IF;
        RETURN (SELECT l.epoch FROM scheduler.locks l WHERE l.tenant_id = tenant AND l.name = lock_name);
    END
    $$;

-- Gives back what try_session_lock took. False where this session does not hold it by that token: another backend answers
-- where a pooler stands in between.
CREATE FUNCTION scheduler.release_session_lock(tenant text, lock_name text, token bigint) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
    DECLARE
        key bigint := scheduler.lock_key(tenant, lock_name);
        now timestamptz := scheduler.current_time();
    BEGIN
        IF NOT scheduler.session_holds_lock(key, pg_backend_pid()) THEN
            RETURN false;
        END IF;
        UPDATE scheduler.locks l
           SET session_pid = NULL, expires_at = now, released_at = now
         WHERE l.tenant_id = tenant AND l.name = lock_name AND l.epoch = token AND l.session_pid = pg_backend_pid();
        RETURN FOUND AND pg_advisory_unlock(key);
    END
    $$;

-- The fence of a resource in this same database: true while `token` holds the lock, which then nobody takes over before the
-- calling transaction ends.
CREATE FUNCTION scheduler.holds_lock(tenant text, lock_name text, token bigint) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
    DECLARE
        seen scheduler.locks;
    BEGIN
        SELECT * INTO seen
          FROM scheduler.locks l
         WHERE l.tenant_id = tenant AND l.name = lock_name AND l.epoch = token
           FOR KEY SHARE;
        RETURN FOUND AND scheduler.lock_is_held(seen, scheduler.current_time());
    END
    $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.locks TO rota_api, rota_service;
GRANT SELECT, INSERT, UPDATE ON scheduler.lock_ledgers TO rota_api, rota_service;
REVOKE ALL ON FUNCTION
    scheduler.lock_key(text, text), scheduler.lock_epochs_from(), scheduler.session_holds_lock(bigint, integer),
    scheduler.lock_is_held(scheduler.locks, timestamptz), scheduler.prune_locks(text, interval),
    scheduler.open_lock(text, text, integer),
    scheduler.acquire_lock(text, text, text, double precision, text, integer, boolean),
    scheduler.try_session_lock(text, text, text), scheduler.release_session_lock(text, text, bigint),
    scheduler.holds_lock(text, text, bigint)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    scheduler.lock_key(text, text), scheduler.lock_epochs_from(), scheduler.session_holds_lock(bigint, integer),
    scheduler.lock_is_held(scheduler.locks, timestamptz), scheduler.prune_locks(text, interval),
    scheduler.open_lock(text, text, integer),
    scheduler.acquire_lock(text, text, text, double precision, text, integer, boolean),
    scheduler.try_session_lock(text, text, text), scheduler.release_session_lock(text, text, bigint),
    scheduler.holds_lock(text, text, bigint)
    TO rota_api, rota_service;
