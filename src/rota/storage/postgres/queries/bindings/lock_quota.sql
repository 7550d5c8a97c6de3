-- Of two who make a tenant's bindings at once, the second counts what the first made: the bound is never passed.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rota/bindings/' || $1, 0))
