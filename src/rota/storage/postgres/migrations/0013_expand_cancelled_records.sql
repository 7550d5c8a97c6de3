-- The records of runs that a firing cancels, in a statement of their own. PostgreSQL 18 (seen with 18.4) may crash where one
-- statement rechecks a row that somebody else has just changed and also prunes partitions while it runs: the recheck takes
-- over the state of the pruning. Firings recheck live runs; so what they change in `runs`, which has partitions, is here.
CREATE FUNCTION scheduler.end_cancelled(tenants text[], ids uuid[], attempts integer[], why text, at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        UPDATE scheduler.runs r
           SET state = 'cancelled', reason = why, attempts_count = x.attempts_count, finished_at = at
          FROM unnest(tenants, ids, attempts) AS x (tenant_id, run_id, attempts_count)
         WHERE r.tenant_id = x.tenant_id
           AND r.id = x.run_id;
    END
    $$;

REVOKE ALL ON FUNCTION scheduler.end_cancelled(text[], uuid[], integer[], text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.end_cancelled(text[], uuid[], integer[], text, timestamptz) TO rota_service;
