-- Bulk operations on runs: what was asked for, and how far it has come.

-- `states` are still to be gone through, the first one now, from `before_id` downwards; `through_id` is behind all runs that
-- were there when it began.
CREATE TABLE scheduler.bulk_operations (
    id              uuid PRIMARY KEY,
    through_id      uuid NOT NULL,
    before_id       uuid,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    expected_count  integer NOT NULL,
    done_count      integer NOT NULL DEFAULT 0,
    skipped_count   integer NOT NULL DEFAULT 0,
    tenant_id       text NOT NULL REFERENCES scheduler.tenants (id),
    verb            text NOT NULL CHECK (verb IN ('retry', 'cancel')),
    states          text[] NOT NULL,
    filter          json NOT NULL,
    created_by      text NOT NULL
);
CREATE INDEX bulk_operations_by_tenant ON scheduler.bulk_operations (tenant_id, id);
SELECT scheduler.isolate_tenant_table('bulk_operations');
GRANT SELECT, INSERT, UPDATE ON scheduler.bulk_operations TO rota_api, rota_service;
