-- What claims and ends read and write of records, in statements of their own, for the reason of 0013: PostgreSQL 18.0 to
-- 18.4 may crash where one statement rechecks a row that was changed meanwhile and also prunes partitions while it runs. It
-- is mended upstream (use-after-free in run-time partition pruning during EvalPlanQual rechecks);
-- tests/integration/plans/test_pruning.py finds such statements.

-- `ids` are in their order: the partitions are known before the statement runs, and no others are opened. It is volatile so
-- that it is not taken into its caller's statement.
CREATE FUNCTION scheduler.records_of(of_tenant text, ids uuid[])
    RETURNS TABLE (id uuid, schedule_id uuid, fire_at timestamptz, target json, policy json)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    #variable_conflict use_column
    BEGIN
        RETURN QUERY
        SELECT b.id, b.schedule_id, b.fire_at, b.target, b.policy
          FROM scheduler.runs b
         WHERE b.tenant_id = of_tenant
           AND b.id = ANY (ids)
           AND b.id >= ids[1]
           AND b.id <= ids[cardinality(ids)];
    END
    $$;

REVOKE ALL ON FUNCTION scheduler.records_of(text, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.records_of(text, uuid[]) TO rota_service;

-- What settling writes of runs that end, in a statement of its own for the same reason. One place of each list per run.
CREATE FUNCTION scheduler.end_runs(tenants text[], ids uuid[], states text[], reasons text[], attempts integer[], workers uuid[],
                                   starts timestamptz[], results jsonb[], errors jsonb[], dead boolean[], at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog
    AS $$
    BEGIN
        UPDATE scheduler.runs r
           SET state = x.state,
               reason = CASE WHEN x.reason = '' THEN r.reason ELSE x.reason END,
               attempts_count = x.attempts_count,
               worker_id = x.worker_id,
               started_at = x.started_at,
               finished_at = at,
               result = x.result,
               error = x.error,
               dead_lettered = x.dead
          FROM unnest(tenants, ids, states, reasons, attempts, workers, starts, results, errors, dead)
               AS x (tenant_id, run_id, state, reason, attempts_count, worker_id, started_at, result, error, dead)
         WHERE r.tenant_id = x.tenant_id
           AND r.id = x.run_id;
    END
    $$;

REVOKE ALL ON FUNCTION scheduler.end_runs(text[], uuid[], text[], text[], integer[], uuid[], timestamptz[], jsonb[], jsonb[],
                                          boolean[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.end_runs(text[], uuid[], text[], text[], integer[], uuid[], timestamptz[], jsonb[], jsonb[],
                                             boolean[], timestamptz) TO rota_service;
