-- A new policy job; nothing where the tenant's key is known. Its run is named once it is stored. $1 tenant_id, $2 the record,
-- $3 fingerprint, $4 input, or NULL: then it is that of the job $5.
INSERT INTO scheduler.policy_jobs (
    id, tenant_id, mode, state, priority, queue, idempotency_key, fingerprint, correlation_id, metadata, webhook, retry_of,
    replay_of, created_at, created_by, policy_id, policy_version, graph_job_id, overlay_job_ids, base_job_id, input)
SELECT r.id, $1, r.mode, r.state, r.priority, r.queue, r.idempotency_key, $3, r.correlation_id, r.metadata, r.webhook,
       r.retry_of, r.replay_of, r.created_at, r.created_by, r.policy_id, r.policy_version, r.graph_job_id,
       r.overlay_job_ids, r.base_job_id,
       coalesce($4::bytea, (SELECT o.input FROM scheduler.policy_jobs o WHERE o.tenant_id = $1 AND o.id = $5::uuid))
  FROM jsonb_populate_record(NULL::scheduler.policy_jobs, $2::jsonb) AS r
    ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id::text
