-- Whoever acts by a flag shares it to the end of its transaction: who switches it waits, and then nobody acts by what it was.
-- Taken before the flag is read, in a statement of its own. $1 name, $2 tenant_id.
SELECT pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('rota/flags/' || $1::text, 0)),
       pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('rota/flags/' || $1::text || '/' || $2::text, 0))
