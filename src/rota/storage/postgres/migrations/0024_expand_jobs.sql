-- Graph jobs and policy jobs: typed records over runs. See docs/jobs.md.

-- A job's row is small and changes while it is live; its documents stand in columns that lists never read. `input` is what
-- was asked for and `result` what came of it, both packed; `result` and `summary` mean something once the job has succeeded.
CREATE TABLE scheduler.graph_jobs (
    id               uuid PRIMARY KEY,
    tenant_id        text NOT NULL REFERENCES scheduler.tenants (id),
    kind             text NOT NULL CHECK (kind IN ('build', 'overlay')),
    state            text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    priority         text NOT NULL CHECK (priority IN ('normal', 'high', 'emergency')),
    queue            text NOT NULL,
    run_id           uuid UNIQUE,
    idempotency_key  text,
    fingerprint      bytea NOT NULL,
    correlation_id   text,
    metadata         jsonb NOT NULL,
    webhook          jsonb,
    retry_of         uuid,
    created_at       timestamptz NOT NULL,
    created_by       text NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    reason           text NOT NULL DEFAULT '',
    sbom_id          text NOT NULL,
    sbom_version_id  text NOT NULL,
    sbom_digest      text NOT NULL,
    base_job_id      uuid,
    input            bytea NOT NULL,
    result           bytea,
    result_hash      text,
    summary          jsonb
);
CREATE UNIQUE INDEX graph_jobs_key ON scheduler.graph_jobs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX graph_jobs_by_tenant ON scheduler.graph_jobs (tenant_id, id);
CREATE INDEX graph_jobs_live ON scheduler.graph_jobs (tenant_id) WHERE state IN ('queued', 'running');

-- The states that a graph job came into; pruned by age.
CREATE TABLE scheduler.graph_job_events (
    id         uuid NOT NULL,
    job_id     uuid NOT NULL,
    tenant_id  text NOT NULL,
    state      text NOT NULL,
    at         timestamptz NOT NULL,
    reason     text NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX graph_job_events_by_job ON scheduler.graph_job_events (job_id, id);

-- Components, dependencies and findings, by the job that made them.
CREATE TABLE scheduler.graph_items (
    job_id     uuid NOT NULL,
    position   integer NOT NULL,
    part       text NOT NULL CHECK (part IN ('node', 'edge', 'finding')),
    tenant_id  text NOT NULL,
    subject    text NOT NULL,
    data       jsonb NOT NULL,
    PRIMARY KEY (job_id, position)
) PARTITION BY RANGE (job_id);

CREATE TABLE scheduler.policy_jobs (
    id               uuid PRIMARY KEY,
    tenant_id        text NOT NULL REFERENCES scheduler.tenants (id),
    mode             text NOT NULL CHECK (mode IN ('full', 'incremental', 'simulate')),
    state            text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    priority         text NOT NULL CHECK (priority IN ('normal', 'high', 'emergency')),
    queue            text NOT NULL,
    run_id           uuid UNIQUE,
    idempotency_key  text,
    fingerprint      bytea NOT NULL,
    correlation_id   text,
    metadata         jsonb NOT NULL,
    webhook          jsonb,
    retry_of         uuid,
    replay_of        uuid,
    replay_pending   text,
    created_at       timestamptz NOT NULL,
    created_by       text NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    reason           text NOT NULL DEFAULT '',
    policy_id        text COLLATE "C" NOT NULL,
    policy_version   text NOT NULL,
    graph_job_id     uuid NOT NULL,
    overlay_job_ids  uuid[] NOT NULL,
    base_job_id      uuid,
    input            bytea NOT NULL,
    result           bytea,
    result_hash      text,
    summary          jsonb
);
CREATE UNIQUE INDEX policy_jobs_key ON scheduler.policy_jobs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX policy_jobs_by_tenant ON scheduler.policy_jobs (tenant_id, id);
CREATE INDEX policy_jobs_live ON scheduler.policy_jobs (tenant_id) WHERE state IN ('queued', 'running');
-- The last judgement that holds for a policy and a graph; a simulation never does.
CREATE INDEX policy_jobs_effective ON scheduler.policy_jobs (tenant_id, graph_job_id, policy_id, id)
    WHERE state = 'succeeded' AND mode <> 'simulate';

-- The verdicts of judgements that hold.
CREATE TABLE scheduler.policy_verdicts (
    job_id     uuid NOT NULL,
    position   integer NOT NULL,
    tenant_id  text NOT NULL,
    subject    text NOT NULL,
    data       jsonb NOT NULL,
    PRIMARY KEY (job_id, position)
) PARTITION BY RANGE (job_id);

-- What simulations would change: apart, so that nobody who reads verdicts can take one for what holds.
CREATE TABLE scheduler.policy_simulations (
    job_id     uuid NOT NULL,
    position   integer NOT NULL,
    tenant_id  text NOT NULL,
    subject    text NOT NULL,
    data       jsonb NOT NULL,
    PRIMARY KEY (job_id, position)
) PARTITION BY RANGE (job_id);

INSERT INTO scheduler.partitioned_tables (name, reason) VALUES
    ('graph_job_events', 'history'), ('graph_items', 'results of jobs'), ('policy_verdicts', 'results of jobs'),
    ('policy_simulations', 'results of jobs');
INSERT INTO scheduler.retention (kind, keep_days) VALUES
    ('graph_job_events', 365), ('graph_items', 365), ('policy_verdicts', 365), ('policy_simulations', 90);
SELECT scheduler.ensure_partitions(7);

SELECT scheduler.isolate_tenant_table(t)
  FROM unnest(ARRAY['graph_jobs', 'graph_job_events', 'graph_items', 'policy_jobs', 'policy_verdicts',
                    'policy_simulations']) AS t;

-- What readers get. A result is shown only when its job has succeeded, whatever an attempt has saved until then.
CREATE VIEW scheduler.graph_job_records WITH (security_invoker = true) AS
SELECT j.id::text AS id, j.tenant_id, j.kind, j.state, j.priority, j.queue, j.run_id::text AS run_id, j.idempotency_key,
       j.correlation_id, j.metadata, j.webhook, j.retry_of::text AS retry_of, j.created_at, j.created_by, j.started_at,
       j.finished_at, j.reason, j.sbom_id, j.sbom_version_id, j.sbom_digest, j.base_job_id::text AS base_job_id,
       CASE WHEN j.state = 'succeeded' THEN j.summary END AS summary,
       CASE WHEN j.state = 'succeeded' THEN j.result_hash END AS snapshot_id,
       j.id AS job_id
  FROM scheduler.graph_jobs j;

CREATE VIEW scheduler.policy_job_records WITH (security_invoker = true) AS
SELECT j.id::text AS id, j.tenant_id, j.mode, j.state, j.priority, j.queue, j.run_id::text AS run_id, j.idempotency_key,
       j.correlation_id, j.metadata, j.webhook, j.retry_of::text AS retry_of, j.replay_of::text AS replay_of,
       j.replay_pending, j.created_at, j.created_by, j.started_at, j.finished_at, j.reason, j.policy_id, j.policy_version,
       j.graph_job_id::text AS graph_job_id, j.overlay_job_ids::text[] AS overlay_job_ids,
       j.base_job_id::text AS base_job_id,
       CASE WHEN j.state = 'succeeded' THEN j.summary END AS summary,
       CASE WHEN j.state = 'succeeded' THEN j.result_hash END AS determinism_hash,
       CASE WHEN j.state = 'succeeded' AND j.replay_of IS NOT NULL THEN j.result_hash = (
            SELECT o.result_hash FROM scheduler.policy_jobs o WHERE o.id = j.replay_of AND o.state = 'succeeded')
       END AS replay_matches,
       j.id AS job_id
  FROM scheduler.policy_jobs j;

GRANT SELECT, INSERT, UPDATE ON scheduler.graph_jobs, scheduler.policy_jobs TO rota_api, rota_service;
GRANT SELECT, INSERT ON scheduler.graph_job_events TO rota_api, rota_service;
GRANT SELECT ON scheduler.graph_items, scheduler.policy_verdicts, scheduler.policy_simulations TO rota_api;
GRANT SELECT, INSERT, DELETE ON scheduler.graph_items, scheduler.policy_verdicts, scheduler.policy_simulations TO rota_service;
GRANT SELECT ON scheduler.graph_job_records, scheduler.policy_job_records TO rota_api, rota_service;
