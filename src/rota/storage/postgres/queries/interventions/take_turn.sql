-- One at a time works failures off, so that none of a schedule's is lost between reading and writing them. No waiting: who
-- comes second leaves it to the first.
SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('rota/interventions', 0))
