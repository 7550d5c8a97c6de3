-- Sums of runs by hour, and totals that no retention shrinks. See docs/history.md.

-- What a statement that ends runs leaves to be counted, in its own transaction: a row per tenant, and in it an element per
-- run. The leader takes rows off in the statement that adds them up: so each run is counted once, whoever commits late.
-- `states` has a letter for each run: s, f, c, and x for skipped. A duration is that of the last attempt; a wait is from due
-- to begun, of runs that were tried once.
CREATE TABLE scheduler.run_deltas (
    tenant_id     text NOT NULL,
    ended_at      timestamptz NOT NULL,
    schedule_ids  uuid[] NOT NULL,
    states        text NOT NULL,
    durations_ms  integer[] NOT NULL,
    waits_ms      integer[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- These are not strict, so that they are taken into the statements that call them.
CREATE FUNCTION scheduler.state_letter(state text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE state WHEN 'skipped' THEN 'x' ELSE left(state, 1) END $$;

CREATE FUNCTION scheduler.elapsed_ms(since timestamptz, until timestamptz) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE WHEN since > until THEN 0
                WHEN since <= until THEN least(date_part('epoch', until - since) * 1000, 2147483647)::integer END
    $$;

-- A record that had ended before (what it says may still be changed) is not counted again.
CREATE FUNCTION scheduler.note_ended_runs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    BEGIN
        INSERT INTO scheduler.run_deltas (tenant_id, ended_at, schedule_ids, states, durations_ms, waits_ms)
        SELECT r.tenant_id, r.finished_at, array_agg(r.schedule_id), string_agg(scheduler.state_letter(r.state), ''),
               array_agg(scheduler.elapsed_ms(r.started_at, r.finished_at)),
               array_agg(CASE r.attempts_count WHEN 1 THEN scheduler.elapsed_ms(r.due_at, r.started_at) END)
          FROM ended r
         WHERE r.state <> 'queued'
           AND r.id NOT IN (SELECT b.id FROM before b WHERE b.state <> 'queued')
         GROUP BY r.tenant_id, r.finished_at;
        RETURN NULL;
    END
    $$;
CREATE TRIGGER note_ended_runs AFTER UPDATE ON scheduler.runs
    REFERENCING OLD TABLE AS before NEW TABLE AS ended
    FOR EACH STATEMENT EXECUTE FUNCTION scheduler.note_ended_runs();

CREATE FUNCTION scheduler.note_run_born_ended() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    BEGIN
        INSERT INTO scheduler.run_deltas (tenant_id, ended_at, schedule_ids, states, durations_ms, waits_ms)
        VALUES (NEW.tenant_id, coalesce(NEW.finished_at, NEW.created_at), ARRAY[NEW.schedule_id],
                scheduler.state_letter(NEW.state), ARRAY[scheduler.elapsed_ms(NEW.started_at, NEW.finished_at)],
                ARRAY[NULL]::integer[]);
        RETURN NULL;
    END
    $$;
CREATE TRIGGER note_run_born_ended AFTER INSERT ON scheduler.runs
    FOR EACH ROW WHEN (NEW.state <> 'queued') EXECUTE FUNCTION scheduler.note_run_born_ended();

-- Durations are counted in classes that begin at these (ms): `rota.domain.statistics.DURATION_CLASSES_MS`.
CREATE FUNCTION scheduler.duration_class(duration_ms integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT width_bucket(duration_ms, ARRAY[10, 30, 100, 300, 1000, 3000, 10000, 30000, 60000, 120000, 300000, 600000, 1800000,
                                           3600000, 14400000])
    $$;

CREATE FUNCTION scheduler.add_counts(a bigint[], b bigint[]) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT ARRAY[a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5], a[6] + b[6], a[7] + b[7], a[8] + b[8],
                 a[9] + b[9], a[10] + b[10], a[11] + b[11], a[12] + b[12], a[13] + b[13], a[14] + b[14], a[15] + b[15],
                 a[16] + b[16]]
    $$;

-- The runs of an hour (UTC): of a schedule, and with no schedule all of the tenant's. `hour_id` is the lowest id of the hour,
-- so that it is partitioned as all history is.
CREATE TABLE scheduler.run_summaries (
    hour_id            uuid NOT NULL,
    hour               timestamptz NOT NULL,
    tenant_id          text NOT NULL,
    schedule_id        uuid,
    succeeded_count    bigint NOT NULL,
    failed_count       bigint NOT NULL,
    cancelled_count    bigint NOT NULL,
    skipped_count      bigint NOT NULL,
    late_starts_count  bigint NOT NULL,
    waits_count        bigint NOT NULL,
    wait_ms_sum        bigint NOT NULL,
    wait_ms_max        bigint NOT NULL,
    duration_ms_sum    bigint NOT NULL,
    duration_ms_max    bigint NOT NULL,
    duration_counts    bigint[] NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant_id, schedule_id, hour_id)
) PARTITION BY RANGE (hour_id);

-- The same of a tenant's whole life: what was counted is never taken away.
CREATE TABLE scheduler.run_totals (
    tenant_id          text PRIMARY KEY,
    since              timestamptz NOT NULL,
    succeeded_count    bigint NOT NULL,
    failed_count       bigint NOT NULL,
    cancelled_count    bigint NOT NULL,
    skipped_count      bigint NOT NULL,
    late_starts_count  bigint NOT NULL,
    waits_count        bigint NOT NULL,
    wait_ms_sum        bigint NOT NULL,
    wait_ms_max        bigint NOT NULL,
    duration_ms_sum    bigint NOT NULL,
    duration_ms_max    bigint NOT NULL,
    duration_counts    bigint[] NOT NULL
) WITH (fillfactor = 50);

SELECT scheduler.isolate_tenant_table(t) FROM unnest(ARRAY['run_deltas', 'run_summaries', 'run_totals']) AS t;
INSERT INTO scheduler.partitioned_tables (name, reason, page_fill_percent) VALUES ('run_summaries', 'history', 80);
INSERT INTO scheduler.retention (kind, keep_days) VALUES ('run_summaries', 400);
SELECT scheduler.ensure_partitions(7);

-- Adds deltas up by hour: for each schedule, and with no schedule for the tenant. The one place where runs become sums.
CREATE FUNCTION scheduler.sums_of_deltas(deltas scheduler.run_deltas[])
    RETURNS TABLE (tenant_id text, schedule_id uuid, hour timestamptz, succeeded_count bigint, failed_count bigint,
                   cancelled_count bigint, skipped_count bigint, late_starts_count bigint, waits_count bigint,
                   wait_ms_sum bigint, wait_ms_max bigint, duration_ms_sum bigint, duration_ms_max bigint,
                   duration_counts bigint[])
    LANGUAGE sql STABLE
    AS $$
    WITH ended AS (
        SELECT d.tenant_id, r.schedule_id, date_trunc('hour', d.ended_at, 'UTC') AS hour, r.letter, r.duration_ms, r.wait_ms,
               scheduler.duration_class(r.duration_ms) AS class
          FROM unnest(deltas) AS d
         CROSS JOIN LATERAL unnest(d.schedule_ids, string_to_array(d.states, NULL), d.durations_ms, d.waits_ms)
               AS r (schedule_id, letter, duration_ms, wait_ms)
    )
    SELECT e.tenant_id, e.schedule_id, e.hour,
           count(*) FILTER (WHERE e.letter = 's'), count(*) FILTER (WHERE e.letter = 'f'),
           count(*) FILTER (WHERE e.letter = 'c'), count(*) FILTER (WHERE e.letter = 'x'),
           count(*) FILTER (WHERE e.wait_ms > 60000), count(e.wait_ms),
           coalesce(sum(e.wait_ms), 0)::bigint, coalesce(max(e.wait_ms), 0)::bigint,
           coalesce(sum(e.duration_ms), 0)::bigint, coalesce(max(e.duration_ms), 0)::bigint,
           ARRAY[count(*) FILTER (WHERE e.class = 0), count(*) FILTER (WHERE e.class = 1),
                 count(*) FILTER (WHERE e.class = 2), count(*) FILTER (WHERE e.class = 3),
                 count(*) FILTER (WHERE e.class = 4), count(*) FILTER (WHERE e.class = 5),
                 count(*) FILTER (WHERE e.class = 6), count(*) FILTER (WHERE e.class = 7),
                 count(*) FILTER (WHERE e.class = 8), count(*) FILTER (WHERE e.class = 9),
                 count(*) FILTER (WHERE e.class = 10), count(*) FILTER (WHERE e.class = 11),
                 count(*) FILTER (WHERE e.class = 12), count(*) FILTER (WHERE e.class = 13),
                 count(*) FILTER (WHERE e.class = 14), count(*) FILTER (WHERE e.class = 15)]
      FROM ended e
     GROUP BY GROUPING SETS ((e.tenant_id, e.hour), (e.tenant_id, e.hour, e.schedule_id))
    HAVING GROUPING(e.schedule_id) = 1 OR e.schedule_id IS NOT NULL
    $$;

-- Runs of the records that ended within the hours from `since_hour` on, and are not counted: those that ended last, where a
-- part of them is missing. Born at most a week before, since ends are not indexed. Fewer records than were counted is in
-- order: what was dropped stays counted. Obeys the row-level security of who asks.
CREATE FUNCTION scheduler.uncounted_runs(of_tenant text, since_hour timestamptz)
    RETURNS TABLE (schedule_id uuid, hour timestamptz, letter text, duration_ms integer, wait_ms integer, is_counted boolean)
    LANGUAGE sql STABLE
    AS $$
    WITH waiting AS (
        SELECT s.*
          FROM (SELECT array_agg(d) AS deltas FROM scheduler.run_deltas d WHERE d.tenant_id = of_tenant) AS a
         CROSS JOIN LATERAL scheduler.sums_of_deltas(a.deltas) AS s
    ), sums AS (
        SELECT s.schedule_id, s.hour, s.succeeded_count, s.failed_count, s.cancelled_count, s.skipped_count FROM waiting s
         UNION ALL
        SELECT s.schedule_id, s.hour, s.succeeded_count, s.failed_count, s.cancelled_count, s.skipped_count
          FROM scheduler.run_summaries s
         WHERE s.tenant_id = of_tenant
           AND s.hour_id >= scheduler.uuid7_floor(since_hour)
    ), counted AS (
        SELECT s.schedule_id, s.hour, x.letter, sum(x.n) AS n
          FROM sums s
         CROSS JOIN LATERAL (VALUES ('s', s.succeeded_count), ('f', s.failed_count), ('c', s.cancelled_count),
                                    ('x', s.skipped_count)) AS x (letter, n)
         GROUP BY 1, 2, 3
    ), known AS (
        -- What a tenant has beyond its schedules' is of runs without one.
        SELECT c.schedule_id, c.hour, c.letter, c.n FROM counted c WHERE c.schedule_id IS NOT NULL
         UNION ALL
        SELECT NULL, c.hour, c.letter, sum(CASE WHEN c.schedule_id IS NULL THEN c.n ELSE -c.n END)
          FROM counted c
         GROUP BY c.hour, c.letter
    ), found AS (
        SELECT r.schedule_id, date_trunc('hour', r.finished_at, 'UTC') AS hour, scheduler.state_letter(r.state) AS letter,
               scheduler.elapsed_ms(r.started_at, r.finished_at) AS duration_ms,
               CASE r.attempts_count WHEN 1 THEN scheduler.elapsed_ms(r.due_at, r.started_at) END AS wait_ms,
               row_number() OVER (PARTITION BY r.schedule_id, date_trunc('hour', r.finished_at, 'UTC'), r.state
                                  ORDER BY r.finished_at, r.id) AS place
          FROM scheduler.runs r
         WHERE r.tenant_id = of_tenant
           AND r.id >= scheduler.uuid7_floor(since_hour - interval '7 days')
           AND r.finished_at >= since_hour
           AND r.state <> 'queued'
    )
    SELECT f.schedule_id, f.hour, f.letter, f.duration_ms, f.wait_ms, f.place <= coalesce(k.n, 0)
      FROM found f
      LEFT JOIN known k
        ON k.schedule_id IS NOT DISTINCT FROM f.schedule_id AND k.hour = f.hour AND k.letter = f.letter
    $$;

REVOKE ALL ON FUNCTION
    scheduler.state_letter(text), scheduler.elapsed_ms(timestamptz, timestamptz), scheduler.note_ended_runs(),
    scheduler.note_run_born_ended(), scheduler.duration_class(integer), scheduler.add_counts(bigint[], bigint[]),
    scheduler.sums_of_deltas(scheduler.run_deltas[]), scheduler.uncounted_runs(text, timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    scheduler.state_letter(text), scheduler.elapsed_ms(timestamptz, timestamptz), scheduler.duration_class(integer),
    scheduler.add_counts(bigint[], bigint[]), scheduler.sums_of_deltas(scheduler.run_deltas[]),
    scheduler.uncounted_runs(text, timestamptz)
    TO rota_api, rota_service;
GRANT SELECT, INSERT ON scheduler.run_deltas TO rota_api;
GRANT SELECT, UPDATE, DELETE ON scheduler.run_deltas TO rota_service;
GRANT SELECT ON scheduler.run_summaries, scheduler.run_totals TO rota_api;
GRANT SELECT, INSERT, UPDATE ON scheduler.run_summaries, scheduler.run_totals TO rota_service;
