-- The next fire by a look from the beginning, however many entries it passes, and how many that were (look_floors).
-- service: the leader serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now,
           pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.triggers_due'::regclass) AS entries_before
), first AS MATERIALIZED (
    SELECT (SELECT t.next_fire_at
              FROM scheduler.triggers t
             WHERE t.next_fire_at IS NOT NULL
             ORDER BY t.next_fire_at
             LIMIT 1) AS next_fire_at
)
SELECT c.now, f.next_fire_at,
       (SELECT pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.triggers_due'::regclass)
          FROM (SELECT count(*) FROM first) AS done) - c.entries_before AS entries_count
  FROM clock c
 CROSS JOIN first f
