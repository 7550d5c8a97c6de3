-- How long each kind of history is kept, and its pruning: whole days of the partitioned ones, stretches of pages of the others.

-- Kinds and their bounds are `rota.domain.retention.KINDS`; a new history adds its line to both.
CREATE TABLE scheduler.retention (
    kind        text PRIMARY KEY,
    keep_days   integer NOT NULL CHECK (keep_days BETWEEN 1 AND 3650),
    changed_at  timestamptz,
    changed_by  text
);
INSERT INTO scheduler.retention (kind, keep_days) VALUES
    ('runs', 90), ('attempts', 90), ('log_lines', 30), ('events', 90), ('audit', 365), ('run_keys', 90), ('idempotency_keys', 7);

-- The time of a version 7 UUID, to the day (UTC): which daily partition it belongs to.
CREATE FUNCTION scheduler.uuid7_day(id uuid) RETURNS date
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT (to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) AT TIME ZONE 'UTC')::date
    $$;

-- Drops one day of one history, if it is older than what is kept by now and no live run needs it; the record of it is
-- written in the same transaction. Whoever asks, the rule is looked up here. Answers what became of it.
-- Dropping excludes all others from the whole history for a moment: where it would have to wait it is given up, since
-- everybody who comes after it would wait as long.
CREATE FUNCTION scheduler.drop_day_if_aged(history text, day date, actor text, request_id text) RETURNS text
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
        IF history IN ('runs', 'attempts', 'log_lines') AND EXISTS (
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

REVOKE ALL ON FUNCTION scheduler.uuid7_day(uuid), scheduler.drop_day_if_aged(text, date, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.uuid7_day(uuid) TO rota_api, rota_service;
GRANT EXECUTE ON FUNCTION scheduler.drop_day_if_aged(text, date, text, text) TO rota_service;
GRANT SELECT, UPDATE ON scheduler.retention TO rota_service;
GRANT SELECT ON scheduler.partitioned_tables TO rota_service;
GRANT DELETE ON scheduler.run_keys, scheduler.idempotency_keys TO rota_service;
