-- A new graph job; nothing where the tenant's key is known. Its run is named once it is stored. $1 tenant_id, $2 the record,
-- $3 fingerprint, $4 input, or NULL: then it is that of the job $5.
INSERT INTO scheduler.graph_jobs (
    id, tenant_id, kind, state, priority, queue, idempotency_key, fingerprint, correlation_id, metadata, webhook, retry_of,
    created_at, created_by, sbom_id, sbom_version_id, sbom_digest, base_job_id, input)
SELECT r.id, $1, r.kind, r.state, r.priority, r.queue, r.idempotency_key, $3, r.correlation_id, r.metadata, r.webhook,
       r.retry_of, r.created_at, r.created_by, r.sbom_id, r.sbom_version_id, r.sbom_digest, r.base_job_id,
       coalesce($4::bytea, (SELECT o.input FROM scheduler.graph_jobs o WHERE o.tenant_id = $1 AND o.id = $5::uuid))
  FROM jsonb_populate_record(NULL::scheduler.graph_jobs, $2::jsonb) AS r
    ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id::text
