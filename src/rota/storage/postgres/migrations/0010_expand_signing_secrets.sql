-- Secrets that requests to HTTP targets are signed with. See docs/http-targets.md and docs/adr/0012-signing-secrets.md.

-- `key` is what a worker signs with. rota_api may write it and not read it: the grants name the columns. That of a
-- retired secret is empty.
CREATE TABLE scheduler.signing_secrets (
    id          uuid PRIMARY KEY,
    tenant_id   text NOT NULL REFERENCES scheduler.tenants (id),
    name        text COLLATE "C" NOT NULL,
    key         bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    retired_at  timestamptz,
    CONSTRAINT signing_secrets_key_while_live CHECK ((key = '') = (retired_at IS NOT NULL))
);
CREATE INDEX signing_secrets_by_tenant ON scheduler.signing_secrets (tenant_id, id);
CREATE INDEX signing_secrets_live ON scheduler.signing_secrets (tenant_id, name) WHERE retired_at IS NULL;

SELECT scheduler.isolate_tenant_table('signing_secrets');

GRANT SELECT (id, tenant_id, name, created_at, created_by, retired_at) ON scheduler.signing_secrets TO rota_api;
GRANT INSERT, UPDATE ON scheduler.signing_secrets TO rota_api;
GRANT SELECT ON scheduler.signing_secrets TO rota_service;
