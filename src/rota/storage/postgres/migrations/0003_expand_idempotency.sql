-- Idempotency keys of the API: which request a key was first used for (design §7).

-- `fingerprint` is a digest of the request, `resource_id` the id that was chosen for what it makes ('' where the store
-- chooses). A key is claimed before the work and never changes, so that a crash in between is repaired by a repetition.
CREATE TABLE scheduler.idempotency_keys (
    tenant_id    text NOT NULL REFERENCES scheduler.tenants (id),
    scope        text NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    resource_id  text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT scheduler.current_time(),
    PRIMARY KEY (tenant_id, scope, key)
);
CREATE INDEX idempotency_keys_by_age ON scheduler.idempotency_keys USING brin (created_at);

SELECT scheduler.isolate_tenant_table('idempotency_keys');

GRANT SELECT, INSERT, UPDATE ON scheduler.idempotency_keys TO rota_api, rota_service;
