-- Whoever records evidence plans by the definitions as they are: who changes one waits, or is waited for (see 0021).
SELECT pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('rota/milestones/' || $1, 0))
