-- Who changes a tenant's definitions does so alone: whoever records evidence sees them as they were, or as they are (0021).
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rota/milestones/' || $1, 0))
