-- Callbacks: attempts of HTTP targets that end when their address is called (docs/http-targets.md). The previous version knows
-- no such target; until it is gone, none should be made.

-- One address for one attempt, written before the request is sent. `token` is the attempt's, `waiting_token` that under which
-- the run waits once nobody holds it any more; `deadline_at` is known from then on. An address is answered once. When its run
-- has moved on it has ended; it is kept a while, so that who comes late is told so.
CREATE TABLE scheduler.callbacks (
    secret_hash    bytea PRIMARY KEY,
    run_id         uuid NOT NULL,
    token          bigint NOT NULL,
    waiting_token  bigint,
    wait_seconds   double precision NOT NULL,
    deadline_at    timestamptz,
    answered_at    timestamptz,
    ended_at       timestamptz,
    keep_until     timestamptz NOT NULL,
    tenant_id      text NOT NULL,
    outcome        text CHECK (outcome IN ('succeeded', 'failed')),
    result         json,
    error          json,
    UNIQUE (run_id, token),
    CHECK ((deadline_at IS NULL) = (waiting_token IS NULL)),
    CHECK ((outcome IS NULL) = (answered_at IS NULL)),
    CHECK (waiting_token IS NOT NULL OR answered_at IS NULL)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX callbacks_by_deadline ON scheduler.callbacks (deadline_at) WHERE waiting_token IS NOT NULL AND ended_at IS NULL;
CREATE INDEX callbacks_answered ON scheduler.callbacks (answered_at) WHERE answered_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX callbacks_kept ON scheduler.callbacks (keep_until) WHERE waiting_token IS NULL OR ended_at IS NOT NULL;

SELECT scheduler.isolate_tenant_table('callbacks');
GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.callbacks TO rota_service;

-- Lets a run wait for its callback, held by nobody: as launch_segments does, and under no limit, like there.
CREATE FUNCTION scheduler.park_run(of_run uuid) RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = pg_catalog
    AS $$
    UPDATE scheduler.live_runs l
       SET worker_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff',
           is_limited = false,
           attempt_token = ((l.attempt_token >> 32) + 1) << 32 | 4294967295,
           hard_deadline_at = 'infinity'
     WHERE l.run_id = of_run AND l.worker_id IS NOT NULL
    RETURNING l.attempt_token
    $$;

-- The attempt that a worker holds waits from now on. `waiting` also where it does so already, `cancelled` where its run is to
-- be cancelled, `stale` where it is not current. The run is locked before its callback, here as below.
CREATE FUNCTION scheduler.await_callback(of_run uuid, with_token bigint) RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    #variable_conflict use_variable
    DECLARE
        nobody CONSTANT uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
        held record;
        now timestamptz;
    BEGIN
        SELECT l.tenant_id, l.cancel_requested_at INTO held
          FROM scheduler.live_runs l
         WHERE l.run_id = of_run
           AND l.attempt_token = with_token
           AND l.worker_id IS NOT NULL
           AND l.worker_id <> nobody
           FOR UPDATE;
        IF NOT FOUND THEN
            RETURN CASE WHEN EXISTS (SELECT FROM scheduler.callbacks c
                                      WHERE c.run_id = of_run AND c.token = with_token AND c.waiting_token IS NOT NULL)
                        THEN 'waiting' ELSE 'stale' END;
        END IF;
        IF held.cancel_requested_at IS NOT NULL THEN
            RETURN 'cancelled';
        END IF;
        now := scheduler.current_time();
        UPDATE scheduler.callbacks c
           SET waiting_token = scheduler.park_run(of_run), deadline_at = now + make_interval(secs => c.wait_seconds)
         WHERE c.run_id = of_run AND c.token = with_token;
        IF NOT FOUND THEN
            RETURN 'stale';
        END IF;
        INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
        VALUES (scheduler.uuid7_at(now), held.tenant_id, now, 'CallbackAwaited', of_run::text, '{}');
        RETURN 'waiting';
    END
    $$;

-- Takes the one answer of an address, by the hash of its secret and never by name, as scheduler.find_check_in. It may come
-- before the worker has read the target's own: then the run waits from now on, so that no rescue can do again what is done.
CREATE FUNCTION scheduler.answer_callback(hash bytea, with_outcome text, with_result text, with_error text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    #variable_conflict use_variable
    DECLARE
        named record;
        held_token bigint;
        asked scheduler.callbacks;
        now timestamptz;
    BEGIN
        SELECT c.run_id, c.tenant_id INTO named
          FROM scheduler.callbacks c
          JOIN scheduler.tenants t ON t.id = c.tenant_id AND t.revoked_at IS NULL
         WHERE c.secret_hash = hash;
        IF NOT FOUND THEN
            RETURN 'unknown';
        END IF;
        SELECT l.attempt_token INTO held_token
          FROM scheduler.live_runs l
         WHERE l.run_id = named.run_id AND l.worker_id IS NOT NULL
           FOR UPDATE;
        SELECT c.* INTO asked FROM scheduler.callbacks c WHERE c.secret_hash = hash FOR UPDATE;
        IF NOT FOUND THEN
            RETURN 'unknown';
        END IF;
        IF asked.answered_at IS NOT NULL THEN
            RETURN 'repeated';
        END IF;
        now := scheduler.current_time();
        IF asked.ended_at IS NOT NULL
           OR asked.deadline_at <= now
           OR held_token IS DISTINCT FROM coalesce(asked.waiting_token, asked.token) THEN
            RETURN 'over';
        END IF;
        UPDATE scheduler.callbacks c
           SET waiting_token = coalesce(c.waiting_token, scheduler.park_run(named.run_id)),
               deadline_at = coalesce(c.deadline_at, now),
               answered_at = now,
               outcome = with_outcome,
               result = with_result::json,
               error = with_error::json
         WHERE c.secret_hash = hash;
        INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
        VALUES (scheduler.uuid7_at(now), named.tenant_id, now, 'CallbackReceived', named.run_id::text,
                jsonb_build_object('outcome', with_outcome));
        RETURN 'accepted';
    END
    $$;

REVOKE ALL ON FUNCTION scheduler.park_run(uuid), scheduler.await_callback(uuid, bigint),
    scheduler.answer_callback(bytea, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.park_run(uuid), scheduler.await_callback(uuid, bigint) TO rota_service;
GRANT EXECUTE ON FUNCTION scheduler.answer_callback(bytea, text, text, text) TO rota_api;
