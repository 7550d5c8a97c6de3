-- Check-ins: jobs that run elsewhere and tell that they did, by an address that is a secret. See docs/check-ins.md.

CREATE TABLE scheduler.check_ins (
    id             uuid PRIMARY KEY,
    tenant_id      text NOT NULL REFERENCES scheduler.tenants (id),
    name           text COLLATE "C" NOT NULL,
    token_hash     bytea NOT NULL UNIQUE,
    cron           text,
    timezone       text NOT NULL,
    every_seconds  double precision,
    grace_seconds  double precision NOT NULL,
    state          text NOT NULL CHECK (state IN ('waiting', 'on_time', 'failing', 'missing')),
    created_at     timestamptz NOT NULL,
    created_by     text NOT NULL,
    started_at     timestamptz,
    succeeded_at   timestamptz,
    failed_at      timestamptz,
    missed_at      timestamptz,
    expected_at    timestamptz,
    deadline_at    timestamptz,
    UNIQUE (tenant_id, name)
) WITH (fillfactor = 80);
CREATE INDEX check_ins_by_deadline ON scheduler.check_ins (deadline_at) WHERE deadline_at IS NOT NULL;

SELECT scheduler.isolate_tenant_table('check_ins');

-- Whose an address is: as scheduler.authenticate, by the hash of a secret and never by name.
CREATE FUNCTION scheduler.find_check_in(hash bytea) RETURNS TABLE (check_in_id uuid, tenant_id text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    SELECT c.id, c.tenant_id
      FROM scheduler.check_ins c
      JOIN scheduler.tenants t ON t.id = c.tenant_id AND t.revoked_at IS NULL
     WHERE c.token_hash = hash
    $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON scheduler.check_ins TO rota_api;
GRANT SELECT, UPDATE ON scheduler.check_ins TO rota_service;
REVOKE ALL ON FUNCTION scheduler.find_check_in(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.find_check_in(bytea) TO rota_api;
