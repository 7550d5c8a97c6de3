-- Of two who start a tenant's backfills at once, the second counts what the first started: the bound is never passed.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rota/backfills/' || $1, 0))
