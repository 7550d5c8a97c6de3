-- Flags: audited switches over what the leader does. A flag without a row is on.

CREATE TABLE scheduler.flags (
    tenant_id   text NOT NULL REFERENCES scheduler.tenants (id),
    name        text COLLATE "C" NOT NULL,
    enabled     boolean NOT NULL,
    reason      text NOT NULL,
    changed_at  timestamptz NOT NULL,
    changed_by  text NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
-- What the leader looks at.
CREATE INDEX flags_off ON scheduler.flags (name, tenant_id) WHERE NOT enabled;

CREATE TABLE scheduler.platform_flags (
    name        text COLLATE "C" PRIMARY KEY,
    enabled     boolean NOT NULL,
    reason      text NOT NULL,
    changed_at  timestamptz NOT NULL,
    changed_by  text NOT NULL
);

SELECT scheduler.isolate_tenant_table('flags');

GRANT SELECT, INSERT, UPDATE ON scheduler.flags TO rota_api;
GRANT SELECT ON scheduler.flags TO rota_service;
GRANT SELECT ON scheduler.platform_flags TO rota_api;
GRANT SELECT, INSERT, UPDATE ON scheduler.platform_flags TO rota_service;
-- A switch of the platform gives schedules with due triggers a new version.
GRANT UPDATE (version) ON scheduler.schedules TO rota_service;
