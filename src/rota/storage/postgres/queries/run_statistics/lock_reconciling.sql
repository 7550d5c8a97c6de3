-- One reconciliation of a tenant at a time: two would both add what both saw missing.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('rota.reconcile'), pg_catalog.hashtext($1))
