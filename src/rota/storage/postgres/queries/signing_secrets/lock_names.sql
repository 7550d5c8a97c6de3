-- Of two who make a tenant's secrets at once, the second counts what the first made: its bounds are never passed.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rota/signing-secrets/' || $1, 0))
