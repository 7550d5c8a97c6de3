-- Runs that wait for others. Such a run is queued with a due time that never comes: no claim looks at it.

-- One row for each run that is waited for, by each that waits; `upstream_state` is NULL until that one has ended.
CREATE TABLE scheduler.run_dependencies (
    run_id          uuid NOT NULL,
    upstream_id     uuid NOT NULL,
    tenant_id       text NOT NULL,
    rule            text NOT NULL CHECK (rule IN ('all_succeeded', 'any_succeeded', 'always')),
    upstream_state  text CHECK (upstream_state IN ('succeeded', 'failed', 'cancelled', 'skipped')),
    PRIMARY KEY (run_id, upstream_id)
) PARTITION BY RANGE (run_id);
CREATE INDEX run_dependencies_by_upstream ON scheduler.run_dependencies (upstream_id, run_id);
INSERT INTO scheduler.partitioned_tables (name, reason) VALUES ('run_dependencies', 'history');
INSERT INTO scheduler.retention (kind, keep_days) VALUES ('run_dependencies', 90);
SELECT scheduler.ensure_partitions(7);
SELECT scheduler.isolate_tenant_table('run_dependencies');
GRANT SELECT, INSERT ON scheduler.run_dependencies TO rota_api;
GRANT SELECT, INSERT, UPDATE ON scheduler.run_dependencies TO rota_service;

-- A run that waited for another can end as skipped.
ALTER TABLE scheduler.run_ends DROP CONSTRAINT run_ends_state_check;
ALTER TABLE scheduler.run_ends ADD CONSTRAINT run_ends_state_check
    CHECK (state IN ('succeeded', 'failed', 'cancelled', 'skipped'));

-- Decides what becomes of runs that wait: those whose upstreams have all ended as their rule asks are due, those whose rule
-- cannot hold any more are skipped; answers the queues of the former. The same rules as rota.core.dependencies.
-- The live rows are locked first, in the order of their ids; each look behind that sees what was committed until then.
-- Records, which have partitions, are read and written in statements of their own (see 0013).
CREATE FUNCTION scheduler.decide_dependents(tenants text[], ids uuid[]) RETURNS text[]
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
                      AND v.due_at = 'infinity'
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
               SET due_at = greatest(x.due_at, now), is_asleep = x.due_at > now
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

-- Works off ends of runs that others wait for, under the leader's fence, each together with what it brings about. No row: the
-- fence is gone.
CREATE FUNCTION scheduler.work_off_dependencies(of_lease text, of_epoch bigint, of_holder text, ends_max integer)
    RETURNS TABLE (ends_count integer, queues text[])
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        expires timestamptz;
        tenants text[];
        ended uuid[];
        states text[];
        owners text[];
        waiting uuid[];
    BEGIN
        SELECT l.expires_at INTO expires
          FROM scheduler.leases l WHERE l.name = of_lease AND l.epoch = of_epoch AND l.holder = of_holder FOR KEY SHARE;
        IF expires IS NULL OR expires <= scheduler.current_time() THEN
            RETURN;
        END IF;
        WITH gone AS (
            DELETE FROM scheduler.run_ends e
             WHERE e.follower = 'dependency'
               AND e.id = ANY (ARRAY(SELECT f.id FROM scheduler.run_ends f
                                      WHERE f.follower = 'dependency' ORDER BY f.follower, f.id LIMIT ends_max))
            RETURNING e.tenant_id, e.run_id, e.state)
        SELECT array_agg(g.tenant_id), array_agg(g.run_id), array_agg(g.state) INTO tenants, ended, states FROM gone g;
        IF ended IS NULL THEN
            RETURN QUERY SELECT 0, '{}'::text[];
            RETURN;
        END IF;
        WITH known AS (
            UPDATE scheduler.run_dependencies d
               SET upstream_state = x.state
              FROM unnest(tenants, ended, states) AS x (tenant_id, run_id, state)
             WHERE d.upstream_id = x.run_id AND d.tenant_id = x.tenant_id AND d.upstream_state IS NULL
            RETURNING d.tenant_id, d.run_id)
        SELECT array_agg(k.tenant_id), array_agg(k.run_id) INTO owners, waiting FROM known k;
        RETURN QUERY SELECT cardinality(ended), CASE WHEN waiting IS NULL THEN '{}'
                                                     ELSE scheduler.decide_dependents(owners, waiting) END;
    END
    $$;

REVOKE ALL ON FUNCTION scheduler.decide_dependents(text[], uuid[]), scheduler.work_off_dependencies(text, bigint, text, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.decide_dependents(text[], uuid[]) TO rota_api, rota_service;
GRANT EXECUTE ON FUNCTION scheduler.work_off_dependencies(text, bigint, text, integer) TO rota_service;

-- The joined view that readers get (see 0004). Of a run that waits for others the record says from when on it may be due.
CREATE OR REPLACE VIEW scheduler.run_records WITH (security_invoker = true) AS
SELECT r.id, r.tenant_id, r.schedule_id, r.trigger_id, r.schedule_version, r.fire_at,
       CASE WHEN l.due_at < 'infinity' THEN l.due_at ELSE r.due_at END AS due_at,
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
-- As in 0017: what a waiting run waits for is needed as the run is.
CREATE OR REPLACE FUNCTION scheduler.drop_day_if_aged(history text, day date, actor text, request_id text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '100ms'
    AS $$
    #variable_conflict use_variable
    DECLARE
        now timestamptz := scheduler.current_time();
        part text := history || '_' || to_char(day, 'YYYYMMDD');
        ends_at timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
        keep_days integer;
        bytes bigint;
    BEGIN
        SELECT r.keep_days INTO keep_days
          FROM scheduler.retention r
          JOIN scheduler.partitioned_tables t ON t.name = r.kind
         WHERE r.kind = history;
        IF keep_days IS NULL OR to_regclass(format('scheduler.%I', part)) IS NULL THEN
            RETURN 'absent';
        END IF;
        IF ends_at > now - make_interval(days => keep_days) THEN
            RETURN 'young';
        END IF;
        IF history IN ('runs', 'attempts', 'log_lines', 'run_dependencies') AND EXISTS (
            SELECT FROM scheduler.live_runs l WHERE scheduler.uuid7_day(l.run_id) = day) THEN
            RETURN 'needed';
        END IF;
        bytes := pg_total_relation_size(format('scheduler.%I', part)::regclass);
        EXECUTE format('DROP TABLE scheduler.%I', part);
        INSERT INTO scheduler.events (id, at, type, subject, actor, data)
        VALUES (scheduler.uuid7_at(now), now, 'HistoryDropped', history, actor,
                jsonb_build_object('kind', history, 'day', day, 'bytes', bytes, 'keep_days', keep_days));
        INSERT INTO scheduler.audit (id, at, actor, verb, resource, resource_id, request_id)
        VALUES (scheduler.uuid7_at(now), now, actor, 'drop', 'history', history || ' ' || day, request_id);
        RETURN 'dropped';
    EXCEPTION WHEN lock_not_available THEN
        RETURN 'busy';
    END
    $$;
