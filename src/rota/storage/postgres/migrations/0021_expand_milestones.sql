-- Milestones: what is made once of each subject, some time after a dated fact about it. See docs/milestones.md.

-- Written once; a subject may be any text.
CREATE TABLE scheduler.evidence (
    tenant_id    text NOT NULL REFERENCES scheduler.tenants (id),
    kind         text COLLATE "C" NOT NULL,
    subject      text COLLATE "C" NOT NULL,
    occurred_at  timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    recorded_by  text NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject)
);

-- The milestone triggers of schedules that are not deleted. Whoever saves such a schedule holds its tenant's lock of
-- milestones alone, whoever records evidence shares it: so that none of them misses the other's.
-- A definition that was saved walks through the evidence of its kind; `walk_after` is how far it came, NULL at the end.
CREATE TABLE scheduler.milestone_definitions (
    tenant_id       text NOT NULL,
    name            text COLLATE "C" NOT NULL,
    schedule_id     uuid NOT NULL REFERENCES scheduler.schedules (id),
    trigger_id      uuid NOT NULL,
    evidence        text COLLATE "C" NOT NULL,
    age_seconds     double precision NOT NULL,
    window_seconds  double precision,
    on_missed       text NOT NULL CHECK (on_missed IN ('run_late', 'skip')),
    walk_after      text COLLATE "C" DEFAULT '',
    PRIMARY KEY (tenant_id, name)
);
CREATE INDEX milestone_definitions_by_schedule ON scheduler.milestone_definitions (schedule_id);
CREATE INDEX milestone_definitions_walking ON scheduler.milestone_definitions (tenant_id, name) WHERE walk_after IS NOT NULL;

-- How far each is with each subject. `next_at` is when the leader looks at it, NULL where nothing is to be done.
CREATE TABLE scheduler.milestones (
    tenant_id            text NOT NULL,
    subject              text COLLATE "C" NOT NULL,
    name                 text COLLATE "C" NOT NULL,
    state                text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'in_progress', 'done', 'skipped')),
    schedule_id          uuid NOT NULL,
    due_at               timestamptz NOT NULL,
    next_at              timestamptz,
    attempts_count       integer NOT NULL DEFAULT 0,
    attempts_total       bigint NOT NULL DEFAULT 0,
    retry_delay_seconds  double precision NOT NULL DEFAULT 0,
    backoff_until        timestamptz,
    last_attempt_at      timestamptz,
    last_run_at          timestamptz,
    generated_at         timestamptz,
    last_error           jsonb,
    run_id               uuid,
    PRIMARY KEY (tenant_id, subject, name),
    CHECK (state = 'waiting' OR next_at IS NULL),
    CHECK (state <> 'in_progress' OR run_id IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX milestones_next ON scheduler.milestones (next_at) WHERE next_at IS NOT NULL;
CREATE UNIQUE INDEX milestones_by_run ON scheduler.milestones (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX milestones_backing_off ON scheduler.milestones (backoff_until) WHERE backoff_until IS NOT NULL;
CREATE INDEX milestones_ended ON scheduler.milestones (last_run_at) WHERE last_run_at IS NOT NULL;

-- Kept for ever, with the result: whatever retention takes, what is done exists.
CREATE TABLE scheduler.done_markers (
    tenant_id       text NOT NULL,
    subject         text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    run_id          uuid NOT NULL,
    completed_at    timestamptz NOT NULL,
    attempts_count  integer NOT NULL,
    result          jsonb,
    PRIMARY KEY (tenant_id, subject, name)
);

SELECT scheduler.isolate_tenant_table(t)
  FROM unnest(ARRAY['evidence', 'milestone_definitions', 'milestones', 'done_markers']) AS t;

-- The end of an attempt, in the transaction that ends its run, however that ends: the marker with the result, or the back-off
-- that was decided when the attempt began. It needs no list of ends, so none is kept: the row is not stored.
CREATE FUNCTION scheduler.end_milestone_attempt() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        run record;
        made record;
        delay interval;
    BEGIN
        SELECT r.result, r.error, r.reason INTO run
          FROM scheduler.runs r
         WHERE r.tenant_id = NEW.tenant_id
           AND r.id = NEW.run_id;
        delay := make_interval(secs => least(coalesce((run.error ->> 'retry_after_seconds')::float8, 0), 86400));
        UPDATE scheduler.milestones m
           SET state = CASE NEW.state WHEN 'succeeded' THEN 'done' ELSE 'waiting' END,
               last_run_at = NEW.ended_at,
               generated_at = CASE NEW.state WHEN 'succeeded' THEN NEW.ended_at END,
               last_error = CASE WHEN NEW.state <> 'succeeded' THEN jsonb_build_object(
                   'message', coalesce(run.error ->> 'message', run.reason),
                   'type', coalesce(run.error ->> 'type', ''),
                   'failure_class', coalesce(run.error ->> 'failure_class', 'unknown')) END,
               backoff_until = CASE WHEN NEW.state <> 'succeeded'
                   THEN NEW.ended_at + greatest(make_interval(secs => m.retry_delay_seconds), delay) END,
               next_at = CASE WHEN NEW.state <> 'succeeded'
                   THEN NEW.ended_at + greatest(make_interval(secs => m.retry_delay_seconds), delay) END
         WHERE m.tenant_id = NEW.tenant_id
           AND m.run_id = NEW.run_id
           AND m.state = 'in_progress'
        RETURNING m.name, m.subject, m.attempts_count, m.backoff_until, m.last_error INTO made;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        IF NEW.state = 'succeeded' THEN
            INSERT INTO scheduler.done_markers (tenant_id, subject, name, run_id, completed_at, attempts_count, result)
            VALUES (NEW.tenant_id, made.subject, made.name, NEW.run_id, NEW.ended_at, made.attempts_count, run.result)
                ON CONFLICT DO NOTHING;
        END IF;
        INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
        VALUES (scheduler.uuid7_at(NEW.ended_at), NEW.tenant_id, NEW.ended_at,
                CASE NEW.state WHEN 'succeeded' THEN 'MilestoneGenerated' ELSE 'MilestoneAttemptFailed' END,
                made.name || '/' || made.subject,
                jsonb_build_object('name', made.name, 'subject', made.subject, 'run_id', NEW.run_id,
                                   'attempt', made.attempts_count, 'backoff_until', made.backoff_until,
                                   'error', made.last_error ->> 'message'));
        RETURN NULL;
    END
    $$;
REVOKE ALL ON FUNCTION scheduler.end_milestone_attempt() FROM PUBLIC;

CREATE TRIGGER end_milestone_attempt BEFORE INSERT ON scheduler.run_ends
    FOR EACH ROW WHEN (NEW.follower = 'milestone') EXECUTE FUNCTION scheduler.end_milestone_attempt();

-- One definition's next steps through the evidence of its kind: what waits gets its time by the definition as it is now.
-- Returns how many subjects that were, or NULL where no definition walks. A function, because the evidence must be read
-- after the definition is locked.
CREATE FUNCTION scheduler.walk_milestones(subjects_max integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    DECLARE
        definition scheduler.milestone_definitions;
        subjects text[];
    BEGIN
        SELECT d.* INTO definition
          FROM scheduler.milestone_definitions d
         WHERE d.walk_after IS NOT NULL
         ORDER BY d.tenant_id, d.name
         LIMIT 1
           FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        subjects := ARRAY(SELECT e.subject
                            FROM scheduler.evidence e
                           WHERE e.tenant_id = definition.tenant_id
                             AND e.kind = definition.evidence
                             AND e.subject > definition.walk_after
                           ORDER BY e.subject
                           LIMIT subjects_max);
        INSERT INTO scheduler.milestones AS m (tenant_id, subject, name, schedule_id, due_at, next_at)
        SELECT e.tenant_id, e.subject, definition.name, definition.schedule_id, timing.due_at, timing.due_at
          FROM scheduler.evidence e
         CROSS JOIN LATERAL (SELECT e.occurred_at + make_interval(secs => definition.age_seconds) AS due_at) AS timing
         WHERE e.tenant_id = definition.tenant_id
           AND e.kind = definition.evidence
           AND e.subject = ANY (subjects)
         ORDER BY e.subject
            ON CONFLICT (tenant_id, subject, name) DO UPDATE
           SET schedule_id = excluded.schedule_id,
               due_at = excluded.due_at,
               next_at = greatest(excluded.due_at, m.backoff_until)
         WHERE m.state = 'waiting';
        UPDATE scheduler.milestone_definitions d
           SET walk_after = CASE WHEN cardinality(subjects) = subjects_max THEN subjects[subjects_max] END
         WHERE d.tenant_id = definition.tenant_id
           AND d.name = definition.name;
        RETURN cardinality(subjects);
    END
    $$;
REVOKE ALL ON FUNCTION scheduler.walk_milestones(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.walk_milestones(integer) TO rota_service;

GRANT SELECT, INSERT ON scheduler.evidence TO rota_api;
GRANT SELECT ON scheduler.evidence TO rota_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.milestone_definitions TO rota_api;
GRANT SELECT, UPDATE ON scheduler.milestone_definitions TO rota_service;
GRANT SELECT, INSERT, UPDATE ON scheduler.milestones TO rota_api, rota_service;
GRANT SELECT, INSERT, DELETE ON scheduler.done_markers TO rota_api;
GRANT SELECT, INSERT ON scheduler.done_markers TO rota_service;
