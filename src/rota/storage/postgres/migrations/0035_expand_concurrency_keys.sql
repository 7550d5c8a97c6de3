-- Functions that this re-creates: enqueue, whose delayed runs now sleep from birth, and what knows of concurrency keys.
-- Concurrency keys: at most so many of the runs that carry one have a place at once. A run without a place is queued with a
-- due time that never comes, so that no claim looks at it, however many there are; `wanted_at` is when it is due. Nothing
-- counts places: they are the live rows of a key that want none. The previous version stops on a run whose policy names a
-- maximum; until it is gone, none should be set.

ALTER TABLE scheduler.live_runs
    ADD COLUMN key_id uuid,
    ADD COLUMN key_max integer,
    ADD COLUMN wanted_at timestamptz;
ALTER TABLE scheduler.live_runs
    ALTER COLUMN key_id SET STATISTICS 0, ALTER COLUMN key_max SET STATISTICS 0, ALTER COLUMN wanted_at SET STATISTICS 0;

-- As in 0019: what is not due yet sleeps.
CREATE OR REPLACE FUNCTION scheduler.enqueue(
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
        INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue, is_asleep)
        VALUES (new_id, tenant, due_at, timeout_seconds, priority, 'queued', queue, due_at > now);
        INSERT INTO scheduler.audit (id, tenant_id, at, actor, verb, resource, resource_id)
        VALUES (scheduler.uuid7_at(now), tenant, now, 'login ' || session_user, 'enqueue', 'run', new_id::text);
        RETURN new_id;
    END
    $$;

-- Whether a serial run of the schedule has to wait: its turn is taken, or another one of the same key has a place already.
CREATE FUNCTION scheduler.stands_behind(of_schedule uuid, key uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM scheduler.schedule_turns t WHERE t.schedule_id = of_schedule AND t.is_taken)
            OR EXISTS (SELECT
                         FROM (SELECT l.schedule_id, l.is_serial
                                 FROM scheduler.live_runs l
                                WHERE l.key_id = key AND l.wanted_at IS NULL AND l.due_at < 'infinity'
                               OFFSET 0) AS o
                        WHERE o.schedule_id = of_schedule AND o.is_serial);
    END
    $$;

-- Whether a worker takes runs from the queue. As the owner, so that tenants learn this of workers and nothing else.
CREATE FUNCTION scheduler.is_listened_to(of_queue text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM scheduler.workers w
                        WHERE w.state = 'active'
                          AND w.lease_expires_at > scheduler.current_time()
                          AND of_queue = ANY (w.queues));
    END
    $$;

-- Gives the free places of one key, whose lock the caller holds, to the runs that are next: by priority, then longest due. Each
-- heeds the maximum that it carries. Answers the queues in which there is something to claim now.
-- A queue to which nobody listens gets no place, and one that nobody can use is withdrawn, so that it holds up no other queue.
-- Serial runs behind a turn are parked, as claims do it, and take no place; whoever ends the turn calls them back. It waits
-- for no turn, since it holds runs and asks in their order: where somebody else is at one, its runs are left for the next look.
CREATE FUNCTION scheduler.admit_key(key uuid) RETURNS text[]
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        now timestamptz := scheduler.current_time();
        listened text[];
        taken integer;
        room integer;
        seen integer;
        passes integer := 0;
        next record;
        queues text[] := '{}';
        parked integer;
        parked_now integer;
        behind uuid[];
    BEGIN
        listened := ARRAY(
            WITH RECURSIVE lanes AS (
                SELECT (SELECT min(l.queue) FROM scheduler.live_runs l
                         WHERE l.key_id = key AND l.wanted_at IS NOT NULL AND NOT l.is_parked) AS queue
                 UNION ALL
                SELECT (SELECT min(l.queue) FROM scheduler.live_runs l
                         WHERE l.key_id = key AND l.wanted_at IS NOT NULL AND NOT l.is_parked AND l.queue > a.queue)
                  FROM lanes a
                 WHERE a.queue IS NOT NULL)
            SELECT a.queue FROM lanes a WHERE a.queue IS NOT NULL AND scheduler.is_listened_to(a.queue));
        LOOP
            EXIT WHEN listened = '{}' OR passes >= 3;
            passes := passes + 1;
            taken := (SELECT count(*) FROM scheduler.live_runs v
                       WHERE v.key_id = key AND v.wanted_at IS NULL AND v.due_at < 'infinity');
            room := (SELECT f.key_max - taken
                       FROM unnest(listened) AS q (queue)
                      CROSS JOIN generate_series(0, 9) AS p (priority)
                      CROSS JOIN LATERAL (
                            SELECT l.key_max, l.wanted_at, l.run_id
                              FROM scheduler.live_runs l
                             WHERE l.key_id = key AND l.queue = q.queue AND l.priority = p.priority
                               AND l.wanted_at <= now AND NOT l.is_parked
                             ORDER BY l.wanted_at, l.run_id
                             LIMIT 1) AS f
                      ORDER BY p.priority DESC, f.wanted_at, f.run_id
                      LIMIT 1);
            EXIT WHEN room IS NULL;
            IF room <= 0 THEN
                UPDATE scheduler.live_runs l
                   SET wanted_at = l.due_at, due_at = 'infinity', is_asleep = true
                 WHERE l.ctid = ANY (ARRAY(
                       SELECT v.ctid
                         FROM scheduler.live_runs v
                        WHERE v.key_id = key AND v.wanted_at IS NULL AND v.due_at < 'infinity'
                          AND v.state = 'queued' AND NOT v.is_parked
                          AND NOT scheduler.is_listened_to(v.queue)
                          FOR UPDATE SKIP LOCKED));
                EXIT WHEN NOT FOUND;
                CONTINUE;
            END IF;
            seen := 0;
            parked := 0;
            behind := '{}';
            FOR next IN
                SELECT f.tenant_id, f.run_id, f.schedule_id, f.queue, f.priority, f.is_serial, f.key_max
                  FROM unnest(listened) AS q (queue)
                 CROSS JOIN generate_series(0, 9) AS p (priority)
                 CROSS JOIN LATERAL (
                       SELECT *
                         FROM scheduler.live_runs l
                        WHERE l.key_id = key AND l.queue = q.queue AND l.priority = p.priority
                          AND l.wanted_at <= now AND NOT l.is_parked
                        ORDER BY l.wanted_at, l.run_id
                        LIMIT least(room, 100)
                          FOR NO KEY UPDATE SKIP LOCKED) AS f
                 ORDER BY p.priority DESC, f.wanted_at, f.run_id
                 LIMIT least(room, 100)
            LOOP
                EXIT WHEN taken >= next.key_max;
                seen := seen + 1;
                CONTINUE WHEN next.is_serial AND next.schedule_id = ANY (behind);
                IF next.is_serial AND scheduler.stands_behind(next.schedule_id, key) THEN
                    INSERT INTO scheduler.schedule_turns (schedule_id, tenant_id) VALUES (next.schedule_id, next.tenant_id)
                        ON CONFLICT (schedule_id) DO NOTHING;
                    PERFORM FROM scheduler.schedule_turns t
                      WHERE t.schedule_id = next.schedule_id FOR NO KEY UPDATE SKIP LOCKED;
                    IF NOT FOUND THEN
                        behind := behind || next.schedule_id;
                        CONTINUE;
                    END IF;
                    IF scheduler.stands_behind(next.schedule_id, key) THEN
                        UPDATE scheduler.live_runs l
                           SET is_parked = true
                         WHERE l.ctid = ANY (ARRAY(
                               SELECT v.ctid
                                 FROM (SELECT b.place
                                         FROM (SELECT l.ctid AS place, l.schedule_id, l.is_serial
                                                 FROM scheduler.live_runs l
                                                WHERE l.key_id = key AND l.queue = next.queue AND l.priority = next.priority
                                                  AND l.wanted_at <= now AND NOT l.is_parked
                                                ORDER BY l.wanted_at, l.run_id
                                                LIMIT 1000) AS b
                                        WHERE b.schedule_id = next.schedule_id AND b.is_serial
                                       OFFSET 0) AS near
                                 JOIN scheduler.live_runs v ON v.ctid = near.place
                                  FOR NO KEY UPDATE OF v SKIP LOCKED));
                        GET DIAGNOSTICS parked_now = ROW_COUNT;
                        parked := parked + parked_now;
                        behind := behind || next.schedule_id;
                        EXIT WHEN parked >= 1000;
                        CONTINUE;
                    END IF;
                END IF;
                UPDATE scheduler.live_runs l
                   SET due_at = l.wanted_at, wanted_at = NULL, is_asleep = false
                 WHERE l.state = 'queued' AND l.tenant_id = next.tenant_id AND l.run_id = next.run_id
                   AND l.wanted_at IS NOT NULL AND NOT l.is_parked;
                IF FOUND THEN
                    taken := taken + 1;
                    queues := queues || next.queue;
                END IF;
            END LOOP;
            EXIT WHEN parked = 0 AND seen < 100;
        END LOOP;
        RETURN queues;
    END
    $$;

-- Gives the free places of several keys. Whoever gives places of a key holds its lock, so that each counts what the others
-- gave; locks are taken in their order. Without `waits`, keys that somebody else is at are left out.
CREATE FUNCTION scheduler.admit_keys(keys uuid[], waits boolean) RETURNS text[]
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        asked record;
        queues text[] := '{}';
    BEGIN
        FOR asked IN SELECT DISTINCT hashtext(k::text) AS place, k AS key FROM unnest(keys) AS k ORDER BY 1, 2 LOOP
            IF waits THEN
                PERFORM pg_advisory_xact_lock(hashtext('scheduler.admit_keys'), asked.place);
            ELSIF NOT pg_try_advisory_xact_lock(hashtext('scheduler.admit_keys'), asked.place) THEN
                CONTINUE;
            END IF;
            queues := queues || scheduler.admit_key(asked.key);
        END LOOP;
        RETURN ARRAY(SELECT DISTINCT q FROM unnest(queues) AS q ORDER BY q);
    END
    $$;

-- Gives places of up to `keys_max` keys behind one, wherever runs are due: what delays, cancellations and crashes have left to
-- do. It passes ten times as many of which none is due yet, each for one entry. `last_key` is NULL when there were no more.
-- `next_wanted_in_seconds`: until one of the keys it passed wants a place; not above 0 where one wants it in vain.
CREATE FUNCTION scheduler.admit_waiting(behind uuid, keys_max integer)
    RETURNS TABLE (queues text[], last_key uuid, next_wanted_in_seconds double precision)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        now timestamptz := scheduler.current_time();
        first record;
        keys uuid[] := '{}';
        next_wanted_at timestamptz;
    BEGIN
        last_key := behind;
        FOR passed IN 1 .. 10 * keys_max LOOP
            SELECT l.key_id, l.wanted_at INTO first
              FROM scheduler.live_runs l
             WHERE l.key_id > last_key AND l.wanted_at IS NOT NULL AND NOT l.is_parked
             ORDER BY l.key_id, l.wanted_at
             LIMIT 1;
            last_key := first.key_id;
            EXIT WHEN last_key IS NULL;
            IF first.wanted_at <= now THEN
                keys := keys || last_key;
            ELSE
                next_wanted_at := least(next_wanted_at, first.wanted_at);
            END IF;
            EXIT WHEN cardinality(keys) >= keys_max;
        END LOOP;
        queues := scheduler.admit_keys(keys, false);
        next_wanted_at := least(next_wanted_at, (
            SELECT min(f.wanted_at)
              FROM unnest(keys) AS k (key)
             CROSS JOIN LATERAL (
                   SELECT l.wanted_at
                     FROM scheduler.live_runs l
                    WHERE l.key_id = k.key AND l.wanted_at IS NOT NULL AND NOT l.is_parked
                    ORDER BY l.wanted_at
                    LIMIT 1) AS f));
        next_wanted_in_seconds := extract(epoch FROM next_wanted_at - now);
        RETURN NEXT;
    END
    $$;

REVOKE ALL ON FUNCTION
    scheduler.stands_behind(uuid, uuid), scheduler.is_listened_to(text), scheduler.admit_key(uuid),
    scheduler.admit_keys(uuid[], boolean), scheduler.admit_waiting(uuid, integer) FROM PUBLIC;
-- A turn is opened when the first run is parked behind it, which may be in the moment that a run is enqueued.
GRANT INSERT ON scheduler.schedule_turns TO rota_api;
GRANT EXECUTE ON FUNCTION
    scheduler.stands_behind(uuid, uuid), scheduler.is_listened_to(text), scheduler.admit_key(uuid),
    scheduler.admit_keys(uuid[], boolean) TO rota_api, rota_service;
GRANT EXECUTE ON FUNCTION scheduler.admit_waiting(uuid, integer) TO rota_service;

-- As in 0027: a run that is released while it carries a key then waits for a place of it.
CREATE OR REPLACE FUNCTION scheduler.decide_dependents(tenants text[], ids uuid[]) RETURNS text[]
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        now timestamptz;
        held uuid[];
        released uuid[];
        skipped uuid[];
        owners text[];
        reasons text[];
        due timestamptz[];
        queues text[];
    BEGIN
        held := ARRAY(
            SELECT l.run_id
              FROM (SELECT DISTINCT x.tenant_id, x.run_id FROM unnest(tenants, ids) AS x (tenant_id, run_id)
                     ORDER BY x.run_id) AS g
             CROSS JOIN LATERAL (
                   SELECT v.run_id FROM scheduler.live_runs v
                    WHERE v.state = 'queued' AND v.tenant_id = g.tenant_id AND v.run_id = g.run_id
                      AND v.due_at = 'infinity' AND v.wanted_at IS NULL
                      FOR UPDATE) AS l);
        now := scheduler.current_time();
        SELECT array_agg(v.run_id) FILTER (WHERE v.verdict = 'release'),
               array_agg(v.run_id) FILTER (WHERE v.verdict = 'skip'),
               array_agg(v.tenant_id) FILTER (WHERE v.verdict = 'skip'),
               array_agg(v.reason) FILTER (WHERE v.verdict = 'skip')
          INTO released, skipped, owners, reasons
          FROM (SELECT d.run_id, min(d.tenant_id) AS tenant_id,
                       CASE WHEN min(d.rule) = 'all_succeeded' AND bool_or(d.upstream_state <> 'succeeded') THEN 'skip'
                            WHEN bool_or(d.upstream_state IS NULL) THEN 'wait'
                            WHEN min(d.rule) = 'any_succeeded' AND NOT bool_or(d.upstream_state = 'succeeded') THEN 'skip'
                            ELSE 'release' END AS verdict,
                       format('run %s, which it waited for, %s',
                              (array_agg(d.upstream_id ORDER BY d.upstream_id) FILTER (WHERE d.upstream_state <> 'succeeded'))[1],
                              CASE (array_agg(d.upstream_state ORDER BY d.upstream_id)
                                    FILTER (WHERE d.upstream_state <> 'succeeded'))[1]
                              WHEN 'failed' THEN 'failed' WHEN 'cancelled' THEN 'was cancelled' ELSE 'was skipped' END) AS reason
                  FROM scheduler.run_dependencies d
                 WHERE d.run_id = ANY (held)
                 GROUP BY d.run_id) AS v;
        SELECT array_agg(r.id), array_agg(r.due_at) INTO released, due
          FROM scheduler.runs r
         WHERE r.tenant_id = ANY (tenants) AND r.id = ANY (released);
        WITH freed AS (
            UPDATE scheduler.live_runs l
               SET due_at = CASE WHEN l.key_id IS NULL THEN greatest(x.due_at, now) ELSE 'infinity' END,
                   wanted_at = CASE WHEN l.key_id IS NOT NULL THEN greatest(x.due_at, now) END,
                   is_asleep = x.due_at > now OR l.key_id IS NOT NULL
              FROM unnest(released, due) AS x (run_id, due_at)
             WHERE l.state = 'queued' AND l.tenant_id = ANY (tenants) AND l.run_id = x.run_id
            RETURNING l.queue)
        SELECT array_agg(DISTINCT f.queue) INTO queues FROM freed f;
        IF skipped IS NOT NULL THEN
            UPDATE scheduler.runs r
               SET state = 'skipped', reason = x.reason, finished_at = now
              FROM unnest(owners, skipped, reasons) AS x (tenant_id, run_id, reason)
             WHERE r.tenant_id = x.tenant_id AND r.id = x.run_id;
            DELETE FROM scheduler.live_runs l
             WHERE l.state = 'queued' AND l.tenant_id = ANY (owners) AND l.run_id = ANY (skipped);
            INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
            SELECT scheduler.uuid7_at(now), x.tenant_id, now, 'RunSkipped', x.run_id::text, jsonb_build_object('reason', x.reason)
              FROM unnest(owners, skipped, reasons) AS x (tenant_id, run_id, reason);
        END IF;
        RETURN coalesce(queues, '{}');
    END
    $$;

-- The joined view that readers get (see 0004). A run that waits for a place is due when it is wanted.
CREATE OR REPLACE VIEW scheduler.run_records WITH (security_invoker = true) AS
SELECT r.id, r.tenant_id, r.schedule_id, r.trigger_id, r.schedule_version, r.fire_at,
       coalesce(l.wanted_at, CASE WHEN l.due_at < 'infinity' THEN l.due_at ELSE r.due_at END) AS due_at,
       CASE WHEN l.run_id IS NULL THEN r.state
            WHEN l.state = 'queued' AND l.attempts_count = 0
                  AND coalesce(l.wanted_at, l.due_at) > (SELECT scheduler.current_time()) THEN 'scheduled'
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
