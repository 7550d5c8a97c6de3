-- The job that has a tenant's key: a second look, whose snapshot also sees what was committed while the insertion waited.
SELECT j.id::text AS id, j.fingerprint FROM scheduler.graph_jobs j WHERE j.tenant_id = $1 AND j.idempotency_key = $2
