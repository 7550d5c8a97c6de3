-- Enqueuing: keys of runs that must be unique, and scheduler.enqueue for callers with a database connection of their own.

-- Who took a key last, and when. A row is its key's lock; `run_id` is NULL only inside the transaction that makes the row.
CREATE TABLE scheduler.unique_keys (
    key        uuid PRIMARY KEY,
    run_id     uuid,
    taken_at   timestamptz,
    tenant_id  text NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX unique_keys_by_age ON scheduler.unique_keys USING brin (taken_at);
SELECT scheduler.isolate_tenant_table('unique_keys');
GRANT SELECT, INSERT, UPDATE ON scheduler.unique_keys TO rota_api, rota_service;
GRANT DELETE ON scheduler.unique_keys TO rota_service;
INSERT INTO scheduler.retention (kind, keep_days) VALUES ('unique_keys', 90);

-- Which login of the database may enqueue for which tenant.
CREATE TABLE scheduler.enqueue_logins (
    login       text NOT NULL,
    tenant_id   text NOT NULL REFERENCES scheduler.tenants (id),
    allowed_at  timestamptz NOT NULL DEFAULT scheduler.current_time(),
    allowed_by  text NOT NULL,
    PRIMARY KEY (login, tenant_id)
);
SELECT scheduler.isolate_tenant_table('enqueue_logins');

-- Lets a login enqueue runs of a tenant, and nothing else. For the owner and administrators of the database.
CREATE FUNCTION scheduler.allow_enqueue(of_login text, of_tenant text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        IF of_login IN ('rota_owner', 'rota_api', 'rota_service') THEN
            RAISE EXCEPTION 'of_login: % is a login of Rota itself', of_login
                USING ERRCODE = '22023', COLUMN = 'of_login', HINT = 'name the login of your own program';
        END IF;
        IF NOT EXISTS (SELECT FROM scheduler.tenants t WHERE t.id = of_tenant AND t.revoked_at IS NULL) THEN
            RAISE EXCEPTION 'of_tenant: there is no open tenant %', of_tenant
                USING ERRCODE = '22023', COLUMN = 'of_tenant', HINT = 'create it, or name another';
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA scheduler TO %I', of_login);
        EXECUTE format('GRANT EXECUTE ON FUNCTION scheduler.enqueue(text, jsonb, text, integer, interval, timestamptz, text, '
                       'double precision, integer) TO %I', of_login);
        INSERT INTO scheduler.enqueue_logins (login, tenant_id, allowed_by) VALUES (of_login, of_tenant, session_user)
            ON CONFLICT DO NOTHING;
        INSERT INTO scheduler.audit (id, tenant_id, actor, verb, resource, resource_id)
        VALUES (scheduler.uuid7_at(scheduler.current_time()), of_tenant, session_user, 'allow', 'enqueue_login', of_login);
    END
    $$;

-- Takes it back, from the next statement on.
CREATE FUNCTION scheduler.forbid_enqueue(of_login text, of_tenant text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        DELETE FROM scheduler.enqueue_logins l WHERE l.login = of_login AND l.tenant_id = of_tenant;
        INSERT INTO scheduler.audit (id, tenant_id, actor, verb, resource, resource_id)
        VALUES (scheduler.uuid7_at(scheduler.current_time()), of_tenant, session_user, 'forbid', 'enqueue_login', of_login);
    END
    $$;

-- The tenant that the session's login enqueues for: the one that it may, or the one of several that rota.tenant names.
-- session_user is who logged in, whatever role was set since.
CREATE FUNCTION scheduler.enqueuing_tenant() RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog
    AS $$
    DECLARE
        allowed text[];
        named text := scheduler.current_tenant();
    BEGIN
        allowed := ARRAY(SELECT l.tenant_id
                           FROM scheduler.enqueue_logins l
                           JOIN scheduler.tenants t ON t.id = l.tenant_id AND t.revoked_at IS NULL
                          WHERE l.login = session_user
                            AND (named IS NULL OR l.tenant_id = named)
                          LIMIT 2);
        IF cardinality(allowed) = 1 THEN
            RETURN allowed[1];
        ELSIF cardinality(allowed) > 1 THEN
            RAISE EXCEPTION 'rota.tenant: the login % may enqueue for several tenants, and names none', session_user
                USING ERRCODE = '42501', HINT = 'SET LOCAL rota.tenant = ''<tenant>''';
        END IF;
        RAISE EXCEPTION 'the login % may not enqueue for %', session_user, coalesce('the tenant ' || named, 'any tenant')
            USING ERRCODE = '42501', HINT = 'an administrator runs: SELECT scheduler.allow_enqueue(''<login>'', ''<tenant>'')';
    END
    $$;

-- What is wrong with the first wrong argument, NULL where all is well. The same rules as rota.core.validation.
CREATE FUNCTION scheduler.enqueue_problem(
    task text, args jsonb, queue text, priority integer, delay interval, due_at timestamptz, idempotency_key text,
    timeout_seconds double precision, attempts_max integer, OUT field text, OUT problem text, OUT remedy text)
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog
    AS $$
    BEGIN
        field := 'task'; remedy := 'give a task''s registered name, such as ''reports.nightly'', of at most 200 characters';
        IF task IS NULL THEN problem := 'is missing'; RETURN; END IF;
        IF length(task) > 200 OR task !~ '^[A-Za-z_][A-Za-z0-9_]*([.:-][A-Za-z0-9_]+)*$' THEN
            problem := format('%L is not of the right form', left(task, 200)); RETURN;
        END IF;
        field := 'args'; remedy := 'give an object of keyword arguments';
        IF args IS NULL OR jsonb_typeof(args) <> 'object' THEN problem := 'is no JSON object'; RETURN; END IF;
        IF EXISTS (SELECT FROM jsonb_object_keys(args) AS k (name) WHERE k.name !~ '^[^\W\d]\w*$') THEN
            problem := 'has a name that cannot be a keyword argument'; RETURN;
        END IF;
        remedy := 'send less; store large data elsewhere and pass a reference';
        IF octet_length(args::text) > 262144 THEN
            problem := format('is %s bytes as JSON, and 262144 are the most', octet_length(args::text)); RETURN;
        END IF;
        IF jsonb_path_exists(args, 'strict $.**{64}') THEN problem := 'is nested deeper than 64 levels'; RETURN; END IF;
        field := 'queue'; remedy := 'use 1 to 64 lower-case letters, digits, ''.'', ''_'' and ''-'', first a letter or digit';
        IF queue IS NULL OR length(queue) > 64 OR queue !~ '^[a-z0-9][a-z0-9._-]*$' THEN
            problem := format('%L is not of the right form', left(queue, 200)); RETURN;
        END IF;
        field := 'priority'; remedy := 'use 0 to 9';
        IF priority IS NULL OR priority NOT BETWEEN 0 AND 9 THEN problem := format('%s is outside', priority); RETURN; END IF;
        field := 'delay'; remedy := 'use 0 seconds to 366 days';
        IF delay IS NULL OR extract(epoch FROM delay) NOT BETWEEN 0 AND 31622400 THEN
            problem := format('%s is outside', delay); RETURN;
        END IF;
        field := 'due_at'; remedy := 'use a time within the years 1970 to 2199';
        IF due_at IS NOT NULL AND (due_at < '1970-01-01+00' OR due_at >= '2200-01-01+00') THEN
            problem := 'is too far away'; RETURN;
        END IF;
        IF due_at IS NOT NULL AND extract(epoch FROM delay) > 0 THEN
            problem := 'stands beside delay'; remedy := 'give one of the two'; RETURN;
        END IF;
        field := 'idempotency_key'; remedy := 'use 1 to 200 printable characters, no space at the beginning or end';
        IF length(idempotency_key) > 200 OR idempotency_key !~ '^\S(.*\S)?$' OR idempotency_key ~ '[[:cntrl:]]' THEN
            problem := 'is not of the right form'; RETURN;
        END IF;
        field := 'timeout_seconds'; remedy := 'use 0.01 to 2592000 seconds';
        IF timeout_seconds IS NULL OR timeout_seconds NOT BETWEEN 0.01 AND 2592000 THEN
            problem := format('%s is outside', timeout_seconds); RETURN;
        END IF;
        field := 'attempts_max'; remedy := 'use 1 to 1000';
        IF attempts_max IS NULL OR attempts_max NOT BETWEEN 1 AND 1000 THEN
            problem := format('%s is outside', attempts_max); RETURN;
        END IF;
        field := NULL; remedy := NULL;
    END
    $$;

-- Enqueues a run of a task on the caller's own connection and in the caller's own transaction: rolled back, it never was.
-- Runs as the owner, for the tenant of the login alone. Nothing is notified: a commit that notifies waits for all others.
-- A key that is known gives the run that has it; these keys are apart from those of the API.
CREATE FUNCTION scheduler.enqueue(
    task text, args jsonb DEFAULT '{}', queue text DEFAULT 'default', priority integer DEFAULT 0, delay interval DEFAULT '0',
    due_at timestamptz DEFAULT NULL, idempotency_key text DEFAULT NULL, timeout_seconds double precision DEFAULT 3600,
    attempts_max integer DEFAULT 5) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    DECLARE
        tenant text := scheduler.enqueuing_tenant();
        wrong record;
        known record;
        now timestamptz := scheduler.current_time();
        new_id uuid := scheduler.uuid7_at(now);
        digest bytea;
        policy jsonb := '{}';
    BEGIN
        wrong := scheduler.enqueue_problem(task, args, queue, priority, delay, due_at, idempotency_key, timeout_seconds,
                                           attempts_max);
        IF wrong.field IS NOT NULL THEN
            RAISE EXCEPTION '%: %', wrong.field, wrong.problem
                USING ERRCODE = '22023', COLUMN = wrong.field, HINT = wrong.remedy;
        END IF;
        IF idempotency_key IS NOT NULL THEN
            digest := sha256(convert_to(jsonb_build_array(task, args, queue, priority, extract(epoch FROM delay),
                                                          extract(epoch FROM due_at), timeout_seconds, attempts_max)::text,
                                        'UTF8'));
            INSERT INTO scheduler.idempotency_keys AS k (tenant_id, scope, key, fingerprint, resource_id)
            VALUES (tenant, 'scheduler.enqueue', idempotency_key, digest, new_id::text)
                ON CONFLICT DO NOTHING;
            IF NOT FOUND THEN
                SELECT k.fingerprint, k.resource_id::uuid AS run_id INTO STRICT known
                  FROM scheduler.idempotency_keys k
                 WHERE k.tenant_id = tenant AND k.scope = 'scheduler.enqueue' AND k.key = enqueue.idempotency_key;
                IF known.fingerprint <> digest THEN
                    RAISE EXCEPTION 'idempotency_key: % was used for another request', quote_literal(idempotency_key)
                        USING ERRCODE = '23505', COLUMN = 'idempotency_key', HINT = 'use a new key';
                END IF;
                RETURN known.run_id;
            END IF;
        END IF;
        IF timeout_seconds <> 3600 THEN
            policy := jsonb_build_object('timeout_seconds', timeout_seconds);
        END IF;
        IF attempts_max <> 5 THEN
            policy := policy || jsonb_build_object('retry', jsonb_build_object('attempts_max', attempts_max));
        END IF;
        due_at := coalesce(due_at, now + extract(epoch FROM delay)::double precision * interval '1 second');
        INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, priority, state, queue, reason, target, policy,
                                    created_by, idempotency_key)
        VALUES (new_id, tenant, now, due_at, priority, 'queued', queue, 'enqueued',
                jsonb_build_object('kind', 'task', 'task', task, 'args', args)::json, policy::json,
                'login ' || session_user, idempotency_key);
        INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue)
        VALUES (new_id, tenant, due_at, timeout_seconds, priority, 'queued', queue);
        INSERT INTO scheduler.audit (id, tenant_id, at, actor, verb, resource, resource_id)
        VALUES (scheduler.uuid7_at(now), tenant, now, 'login ' || session_user, 'enqueue', 'run', new_id::text);
        RETURN new_id;
    END
    $$;

REVOKE ALL ON FUNCTION
    scheduler.allow_enqueue(text, text), scheduler.forbid_enqueue(text, text), scheduler.enqueuing_tenant(),
    scheduler.enqueue_problem(text, jsonb, text, integer, interval, timestamptz, text, double precision, integer),
    scheduler.enqueue(text, jsonb, text, integer, interval, timestamptz, text, double precision, integer)
    FROM PUBLIC;
