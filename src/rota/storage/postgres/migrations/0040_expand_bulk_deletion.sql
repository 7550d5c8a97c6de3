-- Deleting runs in bulk: the verb, the right to do it, and the one place that does.

-- The previous version knows no such operation: asked to go on with one, it skips its runs.
ALTER TABLE scheduler.bulk_operations DROP CONSTRAINT IF EXISTS bulk_operations_verb_check;
ALTER TABLE scheduler.bulk_operations ADD CONSTRAINT bulk_operations_verb_check
    CHECK (verb IN ('retry', 'cancel', 'delete'));

GRANT DELETE ON scheduler.runs, scheduler.attempts, scheduler.log_lines, scheduler.run_dependencies,
    scheduler.impact_snapshots, scheduler.impact_items, scheduler.segments TO rota_api;
GRANT SELECT ON scheduler.run_ends TO rota_api;

-- Deletes the first of these runs, as many as have no more than `rows_max` lines and items together, but one at least, with
-- all that hangs on them. Runs that have not ended stay, and so do those whose end somebody is still to act on. Keys stay:
-- no deletion makes a second run of a firing. Sums stay: nothing is counted here.
-- The records are held first, in the order of their ids. Planned anew each time, so that no partition is locked that holds
-- none of the runs. Obeys the row-level security of who asks.
CREATE OR REPLACE FUNCTION scheduler.delete_ended_runs(of_tenant text, ids uuid[], by_actor text, rows_max integer)
    RETURNS TABLE (handled_count integer, done_count integer)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET plan_cache_mode = force_custom_plan
    AS $$
    DECLARE
        now timestamptz := scheduler.current_time();
        handled integer;
        gone uuid[];
    BEGIN
        SELECT greatest(count(*) FILTER (WHERE w.rows_through <= rows_max), 1) INTO handled
          FROM (SELECT sum(coalesce(i.n, 0) + coalesce(l.n, 0)) OVER (ORDER BY x.place) AS rows_through
                  FROM unnest(ids) WITH ORDINALITY AS x (run_id, place)
                  LEFT JOIN (SELECT s.run_id, s.items_total AS n
                               FROM scheduler.impact_snapshots s
                              WHERE s.tenant_id = of_tenant AND s.run_id = ANY (ids)) AS i USING (run_id)
                  LEFT JOIN (SELECT v.run_id, count(*) AS n
                               FROM scheduler.log_lines v
                              WHERE v.tenant_id = of_tenant AND v.run_id = ANY (ids)
                              GROUP BY v.run_id) AS l USING (run_id)) AS w;
        gone := ARRAY(
            SELECT r.id
              FROM scheduler.runs r
             WHERE r.tenant_id = of_tenant
               AND r.id = ANY (ids[1:handled])
               AND r.state <> 'queued'
               AND NOT EXISTS (SELECT FROM scheduler.run_ends e WHERE e.tenant_id = of_tenant AND e.run_id = r.id)
             ORDER BY r.id
               FOR UPDATE OF r);
        DELETE FROM scheduler.log_lines v WHERE v.tenant_id = of_tenant AND v.run_id = ANY (gone);
        DELETE FROM scheduler.attempts a WHERE a.tenant_id = of_tenant AND a.run_id = ANY (gone);
        DELETE FROM scheduler.run_dependencies d WHERE d.tenant_id = of_tenant AND d.run_id = ANY (gone);
        DELETE FROM scheduler.impact_snapshots s WHERE s.tenant_id = of_tenant AND s.run_id = ANY (gone);
        DELETE FROM scheduler.impact_items i WHERE i.tenant_id = of_tenant AND i.run_id = ANY (gone);
        DELETE FROM scheduler.segments s WHERE s.tenant_id = of_tenant AND s.run_id = ANY (gone);
        DELETE FROM scheduler.runs r WHERE r.tenant_id = of_tenant AND r.id = ANY (gone);
        INSERT INTO scheduler.events (id, tenant_id, at, type, subject, actor)
        SELECT scheduler.uuid7_at(now), of_tenant, now, 'RunDeleted', g.run_id::text, by_actor
          FROM unnest(gone) AS g (run_id);
        RETURN QUERY SELECT handled, cardinality(gone);
    END
    $$;
REVOKE ALL ON FUNCTION scheduler.delete_ended_runs(text, uuid[], text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scheduler.delete_ended_runs(text, uuid[], text, integer) TO rota_api;
