-- Templates of schedules, and bindings: subjects that must have a schedule made from one. See docs/bindings.md.

CREATE TABLE IF NOT EXISTS scheduler.schedule_templates (
    tenant_id    text NOT NULL REFERENCES scheduler.tenants (id),
    name         text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    body         jsonb NOT NULL,
    defaults     jsonb NOT NULL,
    description  text NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    updated_at   timestamptz NOT NULL,
    updated_by   text NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- One row per subject, and the one schedule that it has: whoever makes that schedule holds the row. `made_*` say what the
-- schedule was made from.
CREATE TABLE IF NOT EXISTS scheduler.bindings (
    tenant_id              text NOT NULL REFERENCES scheduler.tenants (id),
    kind                   text COLLATE "C" NOT NULL,
    subject                text COLLATE "C" NOT NULL,
    template               text COLLATE "C" NOT NULL,
    parameters             jsonb NOT NULL,
    revision               bigint NOT NULL,
    schedule_id            uuid,
    made_revision          bigint,
    made_template_version  bigint,
    created_at             timestamptz NOT NULL,
    created_by             text NOT NULL,
    updated_at             timestamptz NOT NULL,
    updated_by             text NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject),
    CONSTRAINT bindings_template FOREIGN KEY (tenant_id, template) REFERENCES scheduler.schedule_templates (tenant_id, name)
);
CREATE INDEX IF NOT EXISTS bindings_by_template ON scheduler.bindings (tenant_id, template);

SELECT scheduler.isolate_tenant_table(t) FROM unnest(ARRAY['schedule_templates', 'bindings']) AS t;

GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.schedule_templates, scheduler.bindings TO rota_api;
GRANT SELECT ON scheduler.schedule_templates, scheduler.bindings TO rota_service;
