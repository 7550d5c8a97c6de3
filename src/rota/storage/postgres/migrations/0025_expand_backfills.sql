-- Backfills: past windows of schedules whose missing firings are made now, step by step. See docs/occurrences.md.

CREATE TABLE scheduler.backfills (
    id                   uuid PRIMARY KEY,
    tenant_id            text NOT NULL REFERENCES scheduler.tenants (id),
    schedule_id          uuid NOT NULL,
    state                text NOT NULL CHECK (state IN ('running', 'finished', 'cancelled')),
    since                timestamptz NOT NULL,
    until                timestamptz NOT NULL,
    overlap              text NOT NULL CHECK (overlap IN ('queue_all', 'allow')),
    priority             smallint,
    runs_per_minute_max  double precision NOT NULL,
    triggers             json NOT NULL,
    times_count          bigint NOT NULL,
    created_at           timestamptz NOT NULL,
    created_by           text NOT NULL,
    paced_at             timestamptz NOT NULL,
    resume_at            timestamptz,
    created_count        bigint NOT NULL DEFAULT 0,
    skipped_count        bigint NOT NULL DEFAULT 0,
    steps_count          bigint NOT NULL DEFAULT 0,
    done_through         timestamptz,
    done_place           integer NOT NULL DEFAULT 0,
    reason               text,
    ended_at             timestamptz
) WITH (fillfactor = 80);
CREATE INDEX backfills_of_tenant ON scheduler.backfills (tenant_id, id);
-- Those with more to do: the leader's look.
CREATE INDEX backfills_by_resume ON scheduler.backfills (resume_at) WHERE resume_at IS NOT NULL;

SELECT scheduler.isolate_tenant_table('backfills');

GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.backfills TO rota_api;
GRANT SELECT, UPDATE ON scheduler.backfills TO rota_service;
