-- Of two who make a tenant's policy jobs at once, the second counts what the first made: the bound is never passed.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rota/policy-jobs/' || $1, 0))
