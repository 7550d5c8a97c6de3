-- Schedules, triggers, runs, attempts, log lines, workers: the time plane.

-- Names sort by code point ("C"), so that one index serves order, prefix and page, whatever the database's locale.
CREATE TABLE scheduler.schedules (
    id                  uuid PRIMARY KEY,
    tenant_id           text NOT NULL REFERENCES scheduler.tenants (id),
    name                text COLLATE "C" NOT NULL CHECK (name <> ''),
    version             bigint NOT NULL DEFAULT 1,
    enabled             boolean NOT NULL,
    needs_intervention  boolean NOT NULL DEFAULT false,
    description         text NOT NULL DEFAULT '',
    labels              jsonb NOT NULL DEFAULT '{}',
    target              jsonb NOT NULL,
    policies            jsonb NOT NULL,
    paused_reason       text,
    created_at          timestamptz NOT NULL,
    created_by          text NOT NULL,
    updated_at          timestamptz NOT NULL,
    updated_by          text NOT NULL,
    deleted_at          timestamptz,
    deleted_by          text
);
-- A name is unique among a tenant's live schedules; this is also the partial index on active schedules.
CREATE UNIQUE INDEX schedules_live_name ON scheduler.schedules (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX schedules_deleted ON scheduler.schedules (tenant_id, name, id) WHERE deleted_at IS NOT NULL;

-- `next_fire_at` is NULL where nothing is to come (paused, deleted, exhausted). `fired_through` only grows.
CREATE TABLE scheduler.triggers (
    id             uuid PRIMARY KEY,
    schedule_id    uuid NOT NULL REFERENCES scheduler.schedules (id),
    tenant_id      text NOT NULL,
    position       smallint NOT NULL,
    spec           jsonb NOT NULL,
    anchor_at      timestamptz NOT NULL,
    next_fire_at   timestamptz,
    fired_through  timestamptz,
    fires_count    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX triggers_due ON scheduler.triggers (next_fire_at, id) WHERE next_fire_at IS NOT NULL;
CREATE INDEX triggers_by_schedule ON scheduler.triggers (schedule_id);

-- What the ids of one statement share: 12 hexadecimal digits of its instant, 12 of chance.
CREATE FUNCTION scheduler.uuid7_series(at timestamptz) RETURNS text
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS $$
    SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || right(gen_random_uuid()::text, 12)
    $$;

-- The nth id of a series (0 <= n < 2^24): in order within it, and a UUID version 7 like any other.
-- The constant holds the version's and the variant's digit; n fills the 24 bits around the latter.
CREATE FUNCTION scheduler.uuid7_nth(series text, n bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT (left(series, 12) || to_hex(x'70008000'::bigint + ((n >> 12) << 16) + (n & 4095)) || right(series, 12))::uuid
    $$;

-- The record of a run, written at birth and once more at its end. While it is live its state stands in live_runs.
-- The end of a successful run changes no indexed column, so that it costs no index entry (a heap-only update).
CREATE TABLE scheduler.runs (
    id                     uuid NOT NULL,
    created_at             timestamptz NOT NULL,
    due_at                 timestamptz NOT NULL,
    fire_at                timestamptz,
    started_at             timestamptz,
    finished_at            timestamptz,
    schedule_id            uuid,
    trigger_id             uuid,
    retry_of               uuid,
    worker_id              uuid,
    schedule_version       bigint,
    attempts_count         integer NOT NULL DEFAULT 0,
    priority               smallint NOT NULL,
    dead_lettered          boolean NOT NULL DEFAULT false,
    tenant_id              text NOT NULL,
    state                  text NOT NULL CHECK (state IN ('queued', 'succeeded', 'failed', 'cancelled', 'skipped')),
    queue                  text NOT NULL,
    reason                 text NOT NULL,
    target                 jsonb NOT NULL,
    policy                 jsonb NOT NULL,
    created_by             text NOT NULL,
    idempotency_key        text,
    result                 jsonb,
    error                  jsonb,
    ended_without_success  text GENERATED ALWAYS AS (
        CASE WHEN state IN ('failed', 'cancelled', 'skipped') THEN state END) STORED,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX runs_by_schedule ON scheduler.runs (schedule_id, id) WHERE schedule_id IS NOT NULL;
CREATE INDEX runs_without_success ON scheduler.runs (tenant_id, ended_without_success, id)
    WHERE ended_without_success IS NOT NULL;

-- What workers claim and hold: small rows apart from the history (design §5 Footing). `attempt_token` grows with every claim.
-- A serial run needs its schedule's turn to run (see schedule_turns). One that was seen to wait for it is parked: it stands
-- out of the way of claims until the turn is free.
CREATE TABLE scheduler.live_runs (
    run_id               uuid PRIMARY KEY,
    schedule_id          uuid,
    worker_id            uuid,
    due_at               timestamptz NOT NULL,
    started_at           timestamptz,
    hard_deadline_at     timestamptz,
    cancel_requested_at  timestamptz,
    attempt_token        bigint NOT NULL DEFAULT 0,
    timeout_seconds      double precision NOT NULL,
    attempts_count       integer NOT NULL DEFAULT 0,
    losses_count         integer NOT NULL DEFAULT 0,
    priority             smallint NOT NULL,
    state                text NOT NULL CHECK (state IN ('queued', 'running')),
    tenant_id            text NOT NULL,
    queue                text NOT NULL,
    is_serial            boolean NOT NULL DEFAULT false CHECK (NOT is_serial OR schedule_id IS NOT NULL),
    is_parked            boolean NOT NULL DEFAULT false CHECK (NOT is_parked OR (is_serial AND state = 'queued')),
    CHECK ((state = 'running') = (worker_id IS NOT NULL))
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX live_runs_claimable ON scheduler.live_runs (queue, priority, due_at, run_id)
    WHERE state = 'queued' AND NOT is_parked;
CREATE INDEX live_runs_parked ON scheduler.live_runs (schedule_id, queue, priority DESC, due_at, run_id) WHERE is_parked;
-- Serves "what does this worker hold", "who holds anything" and "what is overdue", worker by worker.
CREATE INDEX live_runs_held ON scheduler.live_runs (worker_id, hard_deadline_at) WHERE state = 'running';
CREATE INDEX live_runs_by_schedule ON scheduler.live_runs (schedule_id, state, is_parked) WHERE schedule_id IS NOT NULL;
CREATE INDEX live_runs_by_tenant ON scheduler.live_runs (tenant_id, state, run_id);

-- One row per schedule whose serial runs were ever claimed: it is taken exactly while one of them is running.
-- Whoever takes the turn, ends it, or parks a run behind it holds its row lock; locks are taken in this order: running
-- rows, waiting rows that are not parked, the turn, parked rows. Claims wait for none of them.
CREATE TABLE scheduler.schedule_turns (
    schedule_id  uuid PRIMARY KEY,
    tenant_id    text NOT NULL,
    is_taken     boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- Brings the first parked run of each queue back among the claimable, for those of the schedules whose turn is free.
-- Returns the queues in which a run of them is due. A function, because what was parked until the moment the turn is
-- locked must be seen: each of its statements looks afresh.
CREATE FUNCTION scheduler.call_waiting(of_schedules uuid[]) RETURNS TABLE (schedule_id uuid, queue text)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    #variable_conflict use_column
    DECLARE
        free uuid[];
    BEGIN
        free := ARRAY(SELECT t.schedule_id
                        FROM scheduler.schedule_turns t
                       WHERE t.schedule_id = ANY (of_schedules)
                         AND NOT t.is_taken
                       ORDER BY t.schedule_id
                         FOR NO KEY UPDATE);
        RETURN QUERY
        WITH RECURSIVE lanes AS (
            SELECT f.id, (SELECT min(l.queue) FROM scheduler.live_runs l WHERE l.schedule_id = f.id AND l.is_parked) AS queue
              FROM unnest(free) AS f (id)
             UNION ALL
            SELECT a.id, (SELECT min(l.queue)
                            FROM scheduler.live_runs l
                           WHERE l.schedule_id = a.id AND l.is_parked AND l.queue > a.queue)
              FROM lanes a
             WHERE a.queue IS NOT NULL
        ), firsts AS MATERIALIZED (
            SELECT first.run_id
              FROM lanes a
             CROSS JOIN LATERAL (
                   SELECT l.run_id
                     FROM scheduler.live_runs l
                    WHERE l.schedule_id = a.id AND l.queue = a.queue AND l.is_parked
                    ORDER BY l.priority DESC, l.due_at, l.run_id
                    LIMIT 1
                      FOR NO KEY UPDATE) AS first
             WHERE a.queue IS NOT NULL
        ), called AS (
            UPDATE scheduler.live_runs l
               SET is_parked = false
             WHERE l.run_id = ANY (ARRAY(SELECT f.run_id FROM firsts f))
            RETURNING l.schedule_id, l.queue
        )
        SELECT c.schedule_id, c.queue FROM called c
         UNION
        SELECT f.id, seen.queue
          FROM unnest(free) AS f (id)
         CROSS JOIN LATERAL (
               SELECT l.queue
                 FROM scheduler.live_runs l
                WHERE l.schedule_id = f.id
                  AND l.state = 'queued'
                  AND NOT l.is_parked
                  AND l.is_serial
                  AND l.due_at <= (SELECT scheduler.current_time())
               OFFSET 0) AS seen;
    END
    $$;

-- Ends the turns of schedules whose serial run has just stopped running, and calls those that wait.
CREATE FUNCTION scheduler.end_turns(of_schedules uuid[]) RETURNS TABLE (schedule_id uuid, queue text)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    #variable_conflict use_column
    BEGIN
        PERFORM FROM scheduler.schedule_turns t
          WHERE t.schedule_id = ANY (of_schedules)
          ORDER BY t.schedule_id
            FOR NO KEY UPDATE;
        UPDATE scheduler.schedule_turns t SET is_taken = false WHERE t.schedule_id = ANY (of_schedules);
        RETURN QUERY SELECT * FROM scheduler.call_waiting(of_schedules);
    END
    $$;

-- Unpartitioned, so that a key is unique whatever the day: fire keys and idempotency keys (design §4).
CREATE TABLE scheduler.run_keys (
    key         uuid PRIMARY KEY,
    run_id      uuid NOT NULL,
    created_at  timestamptz NOT NULL,
    tenant_id   text NOT NULL
);
CREATE INDEX run_keys_by_age ON scheduler.run_keys USING brin (created_at);

-- Attempts that ended without success. An open one is the row in live_runs; the successful one, always the last, is told
-- by the run's own row (worker, start, end), so that the ordinary run writes no attempt row.
CREATE TABLE scheduler.attempts (
    run_id       uuid NOT NULL,
    attempt_no   integer NOT NULL,
    worker_id    uuid,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz NOT NULL,
    tenant_id    text NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('failed', 'timed_out', 'lost', 'cancelled')),
    error        jsonb,
    PRIMARY KEY (run_id, attempt_no)
) PARTITION BY RANGE (run_id);

CREATE TABLE scheduler.log_lines (
    run_id      uuid NOT NULL,
    at          timestamptz NOT NULL,
    attempt_no  integer NOT NULL,
    seq         integer NOT NULL,
    tenant_id   text NOT NULL,
    stream      text NOT NULL,
    text        text NOT NULL,
    PRIMARY KEY (run_id, attempt_no, seq)
) PARTITION BY RANGE (run_id);

CREATE TABLE scheduler.workers (
    id                uuid PRIMARY KEY,
    name              text NOT NULL,
    state             text NOT NULL CHECK (state IN ('active', 'draining', 'stopped', 'lost')),
    queues            text[] NOT NULL,
    slots             integer NOT NULL,
    tasks             text[] NOT NULL,
    hostname          text NOT NULL,
    pid               integer NOT NULL,
    version           text NOT NULL,
    started_at        timestamptz NOT NULL,
    heartbeat_at      timestamptz NOT NULL,
    lease_expires_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
-- By id, not by lease: a renewal then touches no index.
CREATE INDEX workers_live ON scheduler.workers (id) WHERE state IN ('active', 'draining');
CREATE INDEX workers_by_start ON scheduler.workers (started_at);

-- A run's row is written twice: room for its second version on its own page, without which it costs index entries.
INSERT INTO scheduler.partitioned_tables (name, reason, page_fill_percent) VALUES
    ('runs', 'history', 50), ('attempts', 'history', 100), ('log_lines', 'history', 100);
REVOKE ALL ON FUNCTION
    scheduler.uuid7_series(timestamptz), scheduler.uuid7_nth(text, bigint), scheduler.call_waiting(uuid[]),
    scheduler.end_turns(uuid[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    scheduler.uuid7_series(timestamptz), scheduler.uuid7_nth(text, bigint), scheduler.call_waiting(uuid[])
    TO rota_api, rota_service;
GRANT EXECUTE ON FUNCTION scheduler.end_turns(uuid[]) TO rota_service;

SELECT scheduler.ensure_partitions(7);

SELECT scheduler.isolate_tenant_table(t)
  FROM unnest(ARRAY['schedules', 'triggers', 'runs', 'live_runs', 'schedule_turns', 'run_keys', 'attempts',
                    'log_lines']) AS t;

-- The joined view that readers get. `scheduled` is a queued run that never was tried and is not due yet: time itself
-- promotes it. The view obeys the row-level security of the reader.
CREATE VIEW scheduler.run_records WITH (security_invoker = true) AS
SELECT r.id, r.tenant_id, r.schedule_id, r.trigger_id, r.schedule_version, r.fire_at,
       coalesce(l.due_at, r.due_at) AS due_at,
       CASE WHEN l.run_id IS NULL THEN r.state
            WHEN l.state = 'queued' AND l.attempts_count = 0 AND l.due_at > (SELECT scheduler.current_time()) THEN 'scheduled'
            ELSE l.state END AS state,
       r.reason, r.queue, r.priority, r.target, r.policy,
       coalesce(l.attempts_count, r.attempts_count) AS attempts_count,
       r.created_at, coalesce(r.started_at, l.started_at) AS started_at, r.finished_at,
       coalesce(l.worker_id, r.worker_id) AS worker_id, l.cancel_requested_at, r.result, r.error, r.dead_lettered,
       r.retry_of, r.idempotency_key, r.created_by, r.ended_without_success
  FROM scheduler.runs r
  LEFT JOIN scheduler.live_runs l ON l.run_id = r.id;

GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.schedules, scheduler.triggers, scheduler.runs, scheduler.live_runs
    TO rota_api, rota_service;
REVOKE DELETE ON scheduler.schedules, scheduler.runs FROM rota_api, rota_service;
GRANT SELECT, INSERT ON scheduler.run_keys, scheduler.attempts, scheduler.log_lines TO rota_service;
GRANT SELECT, INSERT ON scheduler.run_keys TO rota_api;
GRANT SELECT, UPDATE ON scheduler.schedule_turns TO rota_api;
GRANT SELECT, INSERT, UPDATE ON scheduler.schedule_turns TO rota_service;
GRANT SELECT ON scheduler.attempts, scheduler.log_lines, scheduler.run_records TO rota_api, rota_service;
GRANT SELECT, INSERT, UPDATE ON scheduler.workers TO rota_service;
