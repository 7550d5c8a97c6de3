-- Which kinds of history are kept with runs is said once, as data: their days stay as long as a run lives that was born on one.

-- `rota.domain.retention.KINDS` says the same (a test compares them). A new kind says so where it is registered.
ALTER TABLE scheduler.retention ADD COLUMN IF NOT EXISTS is_with_runs boolean NOT NULL DEFAULT false;
UPDATE scheduler.retention
   SET is_with_runs = true
 WHERE kind IN ('runs', 'attempts', 'log_lines', 'run_dependencies', 'impact_snapshots', 'impact_items', 'segments');

-- As it was, but that it reads which kinds these are, and looks among the live runs of that day alone.
CREATE OR REPLACE FUNCTION scheduler.drop_day_if_aged(history text, day date, actor text, request_id text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '100ms'
    AS $$
    #variable_conflict use_variable
    DECLARE
        now timestamptz := scheduler.current_time();
        part text := history || '_' || to_char(day, 'YYYYMMDD');
        ends_at timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
        rule record;
        bytes bigint;
    BEGIN
        SELECT r.keep_days, r.is_with_runs INTO rule
          FROM scheduler.retention r
          JOIN scheduler.partitioned_tables t ON t.name = r.kind
         WHERE r.kind = history;
        IF rule.keep_days IS NULL OR to_regclass(format('scheduler.%I', part)) IS NULL THEN
            RETURN 'absent';
        END IF;
        IF ends_at > now - make_interval(days => rule.keep_days) THEN
            RETURN 'young';
        END IF;
        IF rule.is_with_runs AND EXISTS (
            SELECT FROM scheduler.live_runs l
             WHERE l.run_id >= scheduler.uuid7_floor(day::timestamp AT TIME ZONE 'UTC')
               AND l.run_id < scheduler.uuid7_floor(ends_at)) THEN
            RETURN 'needed';
        END IF;
        bytes := pg_total_relation_size(format('scheduler.%I', part)::regclass);
        EXECUTE format('DROP TABLE scheduler.%I', part);
        INSERT INTO scheduler.events (id, at, type, subject, actor, data)
        VALUES (scheduler.uuid7_at(now), now, 'HistoryDropped', history, actor,
                jsonb_build_object('kind', history, 'day', day, 'bytes', bytes, 'keep_days', rule.keep_days));
        INSERT INTO scheduler.audit (id, at, actor, verb, resource, resource_id, request_id)
        VALUES (scheduler.uuid7_at(now), now, actor, 'drop', 'history', history || ' ' || day, request_id);
        RETURN 'dropped';
    EXCEPTION WHEN lock_not_available THEN
        RETURN 'busy';
    END
    $$;
