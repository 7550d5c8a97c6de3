-- One graph job of a tenant, without its documents.
SELECT * FROM scheduler.graph_job_records j WHERE j.tenant_id = $1 AND j.job_id = $2::uuid
