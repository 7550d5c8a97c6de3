-- Named calendars of tenants, and which schedules use them.

CREATE TABLE scheduler.calendars (
    tenant_id   text NOT NULL REFERENCES scheduler.tenants (id),
    name        text COLLATE "C" NOT NULL CHECK (name <> ''),
    version     bigint NOT NULL DEFAULT 1,
    days        json NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    updated_at  timestamptz NOT NULL,
    updated_by  text NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- Live schedules only. Whoever writes rows here holds the calendar FOR SHARE, whoever changes it FOR UPDATE.
CREATE TABLE scheduler.calendar_uses (
    tenant_id      text NOT NULL,
    calendar_name  text COLLATE "C" NOT NULL,
    schedule_id    uuid NOT NULL,
    PRIMARY KEY (tenant_id, calendar_name, schedule_id)
);
CREATE INDEX calendar_uses_by_schedule ON scheduler.calendar_uses (schedule_id);

-- The calendars that a trigger names, as they were when its next time was planned; NULL where it names none.
ALTER TABLE scheduler.triggers ADD COLUMN calendars json;

SELECT scheduler.isolate_tenant_table('calendars');
SELECT scheduler.isolate_tenant_table('calendar_uses');

GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.calendars TO rota_api;
GRANT SELECT, INSERT, DELETE ON scheduler.calendar_uses TO rota_api;
