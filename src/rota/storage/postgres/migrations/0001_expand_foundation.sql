-- The clock, time-ordered ids, tenants, tokens, audit and events: what every later table leans on.
-- Runs as rota_owner, who owns the schema. rota_api is confined by row-level security; rota_service sees all tenants.

GRANT USAGE ON SCHEMA scheduler TO rota_api, rota_service;

-- The one clock that decides (design law 4). Tests replace this function; production never does.
-- Write `(SELECT scheduler.current_time())` in predicates: the bare call forces a sequential scan.
CREATE FUNCTION scheduler.current_time() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT clock_timestamp()';

-- UUID version 7 of the given instant: time-ordered, so that a range of ids is a range of time.
CREATE FUNCTION scheduler.uuid7_at(at timestamptz) RETURNS uuid
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
    $$;

-- The lowest id of an instant: partition bounds and "since" predicates.
CREATE FUNCTION scheduler.uuid7_floor(at timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
    SELECT (encode(substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3), 'hex')
            || '00000000000000000000')::uuid
    $$;

-- The tenant that row-level security confines rota_api to, set transaction-locally; NULL (nothing) when unset.
CREATE FUNCTION scheduler.current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('rota.tenant', true), '') $$;

CREATE TABLE scheduler.tenants (
    id          text PRIMARY KEY CHECK (id = btrim(id) AND id <> '' AND length(id) <= 200),
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT scheduler.current_time(),
    created_by  text NOT NULL,
    revoked_at  timestamptz
);

CREATE TABLE scheduler.api_tokens (
    id           uuid PRIMARY KEY,
    tenant_id    text NOT NULL REFERENCES scheduler.tenants (id),
    name         text NOT NULL,
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin', 'platform_admin')),
    hint         text NOT NULL,
    secret_hash  bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT scheduler.current_time(),
    created_by   text NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX api_tokens_by_tenant ON scheduler.api_tokens (tenant_id, id);

-- Who did what; written in the transaction of the change.
CREATE TABLE scheduler.audit (
    id           uuid NOT NULL,
    tenant_id    text,
    at           timestamptz NOT NULL DEFAULT scheduler.current_time(),
    actor        text NOT NULL,
    verb         text NOT NULL,
    resource     text NOT NULL,
    resource_id  text NOT NULL,
    request_id   text NOT NULL DEFAULT '',
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX audit_by_resource ON scheduler.audit (resource, resource_id, id);

-- Readers page by (txid, id) below pg_snapshot_xmin, so that a late commit is never skipped.
CREATE TABLE scheduler.events (
    id         uuid NOT NULL,
    txid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id  text,
    at         timestamptz NOT NULL DEFAULT scheduler.current_time(),
    type       text NOT NULL,
    subject    text NOT NULL DEFAULT '',
    actor      text NOT NULL DEFAULT '',
    data       jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX events_by_commit ON scheduler.events (txid, id);
CREATE INDEX events_by_tenant ON scheduler.events (tenant_id, txid, id);
CREATE INDEX events_by_subject ON scheduler.events (subject, id) WHERE subject <> '';

-- Leases ("locks" in the source systems). The fence takes FOR KEY SHARE on the row: a renewal leaves the key alone and
-- passes, a take-over changes `epoch`, which is part of a key, and waits (design law 2).
CREATE TABLE scheduler.leases (
    name         text PRIMARY KEY,
    epoch        bigint NOT NULL,
    holder       text NOT NULL,
    acquired_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    UNIQUE (name, epoch)
) WITH (fillfactor = 50);

-- Daily partitions by id, made ahead of need, each table with a default partition that catches a clock far off.
CREATE TABLE scheduler.partitioned_tables (
    name               text PRIMARY KEY,
    reason             text NOT NULL,
    page_fill_percent  integer NOT NULL DEFAULT 100
);
INSERT INTO scheduler.partitioned_tables (name, reason) VALUES
    ('audit', 'pruned by age'),
    ('events', 'pruned by age');

-- Makes the daily partitions from yesterday to `days_ahead`; safe to repeat and to run twice at once. Returns how many it made.
CREATE FUNCTION scheduler.ensure_partitions(days_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    DECLARE
        made integer := 0;
        parent text;
        fill integer;
        day date;
        today date := (scheduler.current_time() AT TIME ZONE 'UTC')::date;
        part text;
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('scheduler.ensure_partitions'));
        FOR parent, fill IN SELECT name, page_fill_percent FROM scheduler.partitioned_tables ORDER BY name LOOP
            IF to_regclass(format('scheduler.%I', parent || '_default')) IS NULL THEN
                EXECUTE format('CREATE TABLE scheduler.%I PARTITION OF scheduler.%I DEFAULT WITH (fillfactor = %s)',
                               parent || '_default', parent, fill);
                made := made + 1;
            END IF;
            FOR offset_days IN -1 .. days_ahead LOOP
                day := today + offset_days;
                part := parent || '_' || to_char(day, 'YYYYMMDD');
                CONTINUE WHEN to_regclass(format('scheduler.%I', part)) IS NOT NULL;
                EXECUTE format(
                    'CREATE TABLE scheduler.%I PARTITION OF scheduler.%I FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = %s)',
                    part, parent,
                    scheduler.uuid7_floor(day::timestamp AT TIME ZONE 'UTC'),
                    scheduler.uuid7_floor((day + 1)::timestamp AT TIME ZONE 'UTC'),
                    fill);
                made := made + 1;
            END LOOP;
        END LOOP;
        RETURN made;
    END
    $$;

-- The one look-up across tenants that rota_api may make: by the hash of a secret, never by name.
CREATE FUNCTION scheduler.authenticate(hash bytea)
    RETURNS TABLE (token_id uuid, name text, tenant_id text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    SELECT k.id, k.name, k.tenant_id, k.role
      FROM scheduler.api_tokens k
      JOIN scheduler.tenants t ON t.id = k.tenant_id AND t.revoked_at IS NULL
     WHERE k.secret_hash = hash
       AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > (SELECT scheduler.current_time()))
    $$;

-- Isolation, from the first table on: one tenant for rota_api, all for rota_service, nothing for anybody else.
CREATE FUNCTION scheduler.isolate_tenant_table(table_name text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
    BEGIN
        EXECUTE format('ALTER TABLE scheduler.%I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON scheduler.%I TO rota_api '
            'USING (tenant_id = (SELECT scheduler.current_tenant())) '
            'WITH CHECK (tenant_id = (SELECT scheduler.current_tenant()))', table_name);
        EXECUTE format('CREATE POLICY all_tenants ON scheduler.%I TO rota_service USING (true) WITH CHECK (true)', table_name);
    END
    $$;

SELECT scheduler.isolate_tenant_table('api_tokens');
SELECT scheduler.isolate_tenant_table('audit');
SELECT scheduler.isolate_tenant_table('events');
ALTER TABLE scheduler.tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduler.tenants TO rota_api USING (id = (SELECT scheduler.current_tenant()));
CREATE POLICY all_tenants ON scheduler.tenants TO rota_service USING (true) WITH CHECK (true);

GRANT SELECT ON scheduler.tenants TO rota_api;
GRANT SELECT, INSERT, UPDATE ON scheduler.tenants TO rota_service;
GRANT SELECT, INSERT, UPDATE ON scheduler.api_tokens TO rota_api, rota_service;
GRANT SELECT, INSERT ON scheduler.audit, scheduler.events TO rota_api, rota_service;
GRANT SELECT, INSERT, UPDATE ON scheduler.leases TO rota_service;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA scheduler FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    scheduler.current_time(), scheduler.uuid7_at(timestamptz), scheduler.uuid7_floor(timestamptz), scheduler.current_tenant()
    TO rota_api, rota_service;
GRANT EXECUTE ON FUNCTION scheduler.authenticate(bytea) TO rota_api, rota_service;
GRANT EXECUTE ON FUNCTION scheduler.ensure_partitions(integer) TO rota_service;
