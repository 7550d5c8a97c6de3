-- Fan-out: one run over many items (docs/fan-out.md). The previous version knows no such target; until it is gone, none should
-- be made.

-- What a run covers, written once, when all of its items and segments are there. `planned_by` is the token of the attempt
-- that planned it: what other attempts have left in the tables below belongs to no snapshot, and goes with its partition.
CREATE TABLE scheduler.impact_snapshots (
    run_id          uuid NOT NULL,
    tenant_id       text NOT NULL,
    planned_by      bigint NOT NULL,
    planned_at      timestamptz NOT NULL,
    items_total     integer NOT NULL,
    segments_count  integer NOT NULL,
    segment_size    integer NOT NULL,
    selector        json NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
) PARTITION BY RANGE (run_id);

-- An item is its canonical JSON, and the key is what makes it stand here once, in order.
CREATE TABLE scheduler.impact_items (
    run_id      uuid NOT NULL,
    planned_by  bigint NOT NULL,
    item        text COLLATE "C" NOT NULL,
    tenant_id   text NOT NULL,
    PRIMARY KEY (run_id, planned_by, item)
) PARTITION BY RANGE (run_id);

-- A slice of the items, from the first to the last. Without a child run it is planned only; `open` until the child has ended.
CREATE TABLE scheduler.segments (
    run_id        uuid NOT NULL,
    planned_by    bigint NOT NULL,
    segment_no    integer NOT NULL,
    items_count   integer NOT NULL,
    child_run_id  uuid,
    ended_at      timestamptz,
    tenant_id     text NOT NULL,
    state         text CHECK (state IN ('open', 'succeeded', 'failed', 'cancelled')),
    first_item    text COLLATE "C" NOT NULL,
    last_item     text COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, planned_by, segment_no),
    CHECK ((state IS NULL) = (child_run_id IS NULL))
) PARTITION BY RANGE (run_id);
CREATE INDEX segments_open ON scheduler.segments (run_id, planned_by, segment_no) WHERE state = 'open';

-- The runs that wait for their segments, until they have ended. `token` is that under which the run waits.
CREATE TABLE scheduler.fan_outs (
    run_id              uuid PRIMARY KEY,
    deadline_at         timestamptz NOT NULL,
    timeout_seconds     double precision NOT NULL,
    token               bigint NOT NULL,
    planned_by          bigint NOT NULL,
    items_total         integer NOT NULL,
    segments_count      integer NOT NULL,
    succeeded_count     integer NOT NULL DEFAULT 0,
    failed_count        integer NOT NULL DEFAULT 0,
    cancelled_count     integer NOT NULL DEFAULT 0,
    tolerated_failures  integer NOT NULL,
    cancels_others      boolean NOT NULL,
    tenant_id           text NOT NULL,
    stopped             text CHECK (stopped IN ('cancelled', 'timed_out', 'too_many_failures')),
    CHECK (succeeded_count + failed_count + cancelled_count <= segments_count)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX fan_outs_by_deadline ON scheduler.fan_outs (deadline_at) WHERE stopped IS NULL;
CREATE INDEX fan_outs_stopped ON scheduler.fan_outs (run_id) WHERE stopped IS NOT NULL;
CREATE INDEX fan_outs_ended ON scheduler.fan_outs (run_id)
    WHERE succeeded_count + failed_count + cancelled_count = segments_count;

INSERT INTO scheduler.partitioned_tables (name, reason, page_fill_percent) VALUES
    ('impact_snapshots', 'history', 100), ('impact_items', 'history', 100), ('segments', 'history', 60);
INSERT INTO scheduler.retention (kind, keep_days)
SELECT t.name, r.keep_days
  FROM scheduler.retention r
 CROSS JOIN (VALUES ('impact_snapshots'), ('impact_items'), ('segments')) AS t (name)
 WHERE r.kind = 'runs';
-- As in 0017, for whatever hangs on runs: no day goes on which a live run was born.
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
        IF history IN ('runs', 'attempts', 'log_lines', 'run_dependencies', 'impact_snapshots', 'impact_items', 'segments')
           AND EXISTS (SELECT FROM scheduler.live_runs l WHERE scheduler.uuid7_day(l.run_id) = day) THEN
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
SELECT scheduler.ensure_partitions(7);
SELECT scheduler.isolate_tenant_table(t)
  FROM unnest(ARRAY['impact_snapshots', 'impact_items', 'segments', 'fan_outs']) AS t;

GRANT SELECT ON scheduler.impact_snapshots, scheduler.impact_items, scheduler.segments TO rota_api;
GRANT SELECT, INSERT ON scheduler.impact_snapshots, scheduler.impact_items TO rota_service;
GRANT SELECT, INSERT, UPDATE ON scheduler.segments TO rota_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.fan_outs TO rota_service;

-- Makes what an attempt has found and cut the snapshot of its run, gives birth to the children, and lets the run wait for
-- them: all or nothing, under the attempt's token (law 2). Repeating it changes nothing. `planned`: nothing was to be
-- launched, and the run is to be ended by the caller. A run that was planned before waits for the segments that it has.
-- Its statements look one after another: no statement locks a live run and reads a partitioned table (see 0013).
CREATE FUNCTION scheduler.launch_segments(
        of_tenant text, of_run uuid, with_token bigint, size integer, tolerated integer, cancels boolean,
        wait_seconds double precision, is_plan_only boolean)
    RETURNS TABLE (outcome text, items_total integer, segments_count integer)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    #variable_conflict use_variable
    DECLARE
        nobody CONSTANT uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
        held record;
        parent record;
        known record;
        series text;
        now timestamptz;
    BEGIN
        SELECT l.cancel_requested_at IS NOT NULL AS is_cancelled, l.timeout_seconds, l.priority, l.queue
          INTO held
          FROM scheduler.live_runs l
         WHERE l.run_id = of_run
           AND l.attempt_token = with_token
           AND l.worker_id IS NOT NULL
           AND l.worker_id <> nobody
           FOR UPDATE;
        IF NOT FOUND THEN
            SELECT s.items_total, s.segments_count INTO known
              FROM scheduler.impact_snapshots s
             WHERE s.tenant_id = of_tenant AND s.run_id = of_run AND s.planned_by = with_token;
            RETURN QUERY SELECT CASE WHEN FOUND THEN 'launched' ELSE 'stale' END, known.items_total, known.segments_count;
            RETURN;
        END IF;
        IF held.is_cancelled THEN
            RETURN QUERY SELECT 'cancelled', 0, 0;
            RETURN;
        END IF;
        now := scheduler.current_time();
        SELECT r.target, r.policy, r.fire_at, r.created_by INTO STRICT parent
          FROM scheduler.runs r WHERE r.tenant_id = of_tenant AND r.id = of_run;
        INSERT INTO scheduler.impact_snapshots (run_id, tenant_id, planned_by, planned_at, items_total, segments_count,
                                                segment_size, selector)
        SELECT of_run, of_tenant, with_token, now, coalesce(sum(s.items_count), 0), count(*), size,
               parent.target #> '{fan_out,selector}'
          FROM scheduler.segments s
         WHERE s.run_id = of_run AND s.planned_by = with_token
            ON CONFLICT (tenant_id, run_id) DO NOTHING;
        SELECT s.* INTO STRICT known FROM scheduler.impact_snapshots s WHERE s.tenant_id = of_tenant AND s.run_id = of_run;
        IF is_plan_only OR known.segments_count = 0 THEN
            RETURN QUERY SELECT 'planned', known.items_total, known.segments_count;
            RETURN;
        END IF;

        series := scheduler.uuid7_series(now);
        WITH born AS (
            UPDATE scheduler.segments s
               SET child_run_id = scheduler.uuid7_nth(series, s.segment_no), state = 'open'
             WHERE s.run_id = of_run AND s.planned_by = known.planned_by AND s.child_run_id IS NULL
            RETURNING s.segment_no, s.child_run_id
        ), recorded AS (
            INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, fire_at, priority, state, queue, reason, target,
                                        policy, created_by)
            SELECT b.child_run_id, of_tenant, now, now, parent.fire_at, held.priority, 'queued', held.queue,
                   format('segment %s of %s of run %s', b.segment_no, known.segments_count, of_run),
                   json_strip_nulls(json_build_object('kind', 'segment', 'run_id', of_run, 'segment_no', b.segment_no,
                                                      'task', parent.target ->> 'task')),
                   (parent.policy::jsonb - 'serial')::json, parent.created_by
              FROM born b
        )
        INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue, followers)
        SELECT b.child_run_id, of_tenant, now, held.timeout_seconds, held.priority, 'queued', held.queue, '{segment}'
          FROM born b;

        -- Under no limit while it waits: it would hold the room that its own segments need.
        UPDATE scheduler.live_runs l
           SET worker_id = nobody,
               is_limited = false,
               attempt_token = ((l.attempt_token >> 32) + 1) << 32 | 4294967295,
               hard_deadline_at = 'infinity'
         WHERE l.run_id = of_run AND l.worker_id IS NOT NULL;
        INSERT INTO scheduler.fan_outs (run_id, tenant_id, token, planned_by, items_total, segments_count, succeeded_count,
                                        failed_count, cancelled_count, tolerated_failures, cancels_others, deadline_at,
                                        timeout_seconds)
        SELECT of_run, of_tenant, ((with_token >> 32) + 1) << 32 | 4294967295, known.planned_by, known.items_total,
               known.segments_count, count(*) FILTER (WHERE s.state = 'succeeded'),
               count(*) FILTER (WHERE s.state = 'failed'), count(*) FILTER (WHERE s.state = 'cancelled'), tolerated, cancels,
               now + make_interval(secs => wait_seconds), wait_seconds
          FROM scheduler.segments s
         WHERE s.run_id = of_run AND s.planned_by = known.planned_by
            ON CONFLICT (run_id) DO UPDATE SET token = excluded.token;
        INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
        VALUES (scheduler.uuid7_at(now), of_tenant, now, 'FanOutLaunched', of_run::text,
                jsonb_build_object('items_total', known.items_total, 'segments_count', known.segments_count));
        RETURN QUERY SELECT 'launched', known.items_total, known.segments_count;
    END
    $$;

-- Takes the ends of segments' runs off the follower's list and counts them, in one transaction; says how many it took.
CREATE FUNCTION scheduler.end_segments(ends_max integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        tenants text[];
        children uuid[];
        states text[];
        instants timestamptz[];
        parents uuid[];
        numbers integer[];
    BEGIN
        WITH gone AS (
            DELETE FROM scheduler.run_ends e
             WHERE e.follower = 'segment'
               AND e.id = ANY (ARRAY(SELECT b.id FROM scheduler.run_ends b
                                      WHERE b.follower = 'segment'
                                      ORDER BY b.follower, b.id
                                      LIMIT ends_max))
            RETURNING e.tenant_id, e.run_id, e.state, e.ended_at
        )
        SELECT array_agg(g.tenant_id ORDER BY g.run_id), array_agg(g.run_id ORDER BY g.run_id),
               array_agg(g.state ORDER BY g.run_id), array_agg(g.ended_at ORDER BY g.run_id)
          INTO tenants, children, states, instants
          FROM gone g;
        IF children IS NULL THEN
            RETURN 0;
        END IF;
        SELECT array_agg((r.target ->> 'run_id')::uuid ORDER BY x.n), array_agg((r.target ->> 'segment_no')::integer ORDER BY x.n)
          INTO parents, numbers
          FROM unnest(tenants, children) WITH ORDINALITY AS x (tenant_id, run_id, n)
          LEFT JOIN LATERAL (
               SELECT b.target FROM scheduler.runs b WHERE b.tenant_id = x.tenant_id AND b.id = x.run_id OFFSET 0) AS r ON true;
        PERFORM FROM scheduler.fan_outs f WHERE f.run_id = ANY (parents) ORDER BY f.run_id FOR NO KEY UPDATE;
        WITH ended AS (
            UPDATE scheduler.segments s
               SET state = x.state, ended_at = x.ended_at
              FROM unnest(parents, numbers, children, states, instants) AS x (run_id, segment_no, child_run_id, state, ended_at)
             WHERE s.run_id = x.run_id
               AND s.segment_no = x.segment_no
               AND s.child_run_id = x.child_run_id
               AND s.state = 'open'
            RETURNING s.run_id, s.state
        ), counted AS (
            SELECT e.run_id, count(*) FILTER (WHERE e.state = 'succeeded') AS succeeded,
                   count(*) FILTER (WHERE e.state = 'failed') AS failed,
                   count(*) FILTER (WHERE e.state = 'cancelled') AS cancelled
              FROM ended e
             GROUP BY e.run_id
        )
        UPDATE scheduler.fan_outs f
           SET succeeded_count = f.succeeded_count + c.succeeded,
               failed_count = f.failed_count + c.failed,
               cancelled_count = f.cancelled_count + c.cancelled,
               stopped = CASE WHEN f.stopped IS NULL AND f.cancels_others
                               AND f.failed_count + c.failed + f.cancelled_count + c.cancelled > f.tolerated_failures
                              THEN 'too_many_failures' ELSE f.stopped END
          FROM counted c
         WHERE f.run_id = c.run_id;
        RETURN cardinality(children);
    END
    $$;

-- Says of runs that wait for their segments that they are to stop, and cancels the children of those that are: those that
-- wait at once, those that run are marked for their worker. Says of how many children; fewer than asked: none is left.
CREATE FUNCTION scheduler.stop_segments(children_max integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        nobody CONSTANT uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
        now timestamptz := scheduler.current_time();
        why text;
        child record;
        held record;
        stopped_count integer := 0;
    BEGIN
        UPDATE scheduler.fan_outs f
           SET stopped = 'cancelled'
         WHERE f.stopped IS NULL
           AND f.run_id = ANY (ARRAY(SELECT l.run_id FROM scheduler.live_runs l
                                      WHERE l.worker_id = nobody AND l.cancel_requested_at IS NOT NULL));
        UPDATE scheduler.fan_outs f SET stopped = 'timed_out' WHERE f.stopped IS NULL AND f.deadline_at <= now;
        FOR child IN
            SELECT s.tenant_id, s.child_run_id AS run_id, f.run_id AS parent_id, f.stopped
              FROM scheduler.fan_outs f
             CROSS JOIN LATERAL (
                   SELECT * FROM scheduler.segments s
                    WHERE s.run_id = f.run_id AND s.planned_by = f.planned_by AND s.state = 'open' OFFSET 0) AS s
             WHERE f.stopped IS NOT NULL
               AND EXISTS (SELECT FROM scheduler.live_runs l
                            WHERE l.cancel_requested_at IS NULL
                              AND ((l.state = 'queued' AND l.tenant_id = s.tenant_id AND l.run_id = s.child_run_id)
                                   OR (l.worker_id IS NOT NULL AND l.tenant_id = s.tenant_id AND l.run_id = s.child_run_id)))
             ORDER BY s.child_run_id
             LIMIT children_max
        LOOP
            SELECT l.ctid AS place, l.state, l.attempts_count INTO held
              FROM scheduler.live_runs l
             WHERE (l.state = 'queued' AND l.tenant_id = child.tenant_id AND l.run_id = child.run_id)
                OR (l.worker_id IS NOT NULL AND l.tenant_id = child.tenant_id AND l.run_id = child.run_id)
               FOR UPDATE;
            CONTINUE WHEN NOT FOUND;
            stopped_count := stopped_count + 1;
            IF held.state = 'running' THEN
                UPDATE scheduler.live_runs l
                   SET cancel_requested_at = coalesce(l.cancel_requested_at, now)
                 WHERE l.ctid = held.place;
                CONTINUE;
            END IF;
            why := format('run %s, whose segment it was, %s', child.parent_id, CASE child.stopped
                          WHEN 'cancelled' THEN 'was cancelled' WHEN 'timed_out' THEN 'timed out' ELSE 'failed' END);
            PERFORM scheduler.end_cancelled(ARRAY[child.tenant_id], ARRAY[child.run_id], ARRAY[held.attempts_count], why, now);
            DELETE FROM scheduler.live_runs l WHERE l.ctid = held.place;
            INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
            VALUES (scheduler.uuid7_at(now), child.tenant_id, now, 'RunCancelled', child.run_id::text,
                    jsonb_build_object('schedule_id', NULL, 'attempt_no', held.attempts_count, 'reason', why));
        END LOOP;
        RETURN stopped_count;
    END
    $$;

REVOKE ALL ON FUNCTION
    scheduler.launch_segments(text, uuid, bigint, integer, integer, boolean, double precision, boolean),
    scheduler.end_segments(integer), scheduler.stop_segments(integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    scheduler.launch_segments(text, uuid, bigint, integer, integer, boolean, double precision, boolean),
    scheduler.end_segments(integer), scheduler.stop_segments(integer)
    TO rota_service;
