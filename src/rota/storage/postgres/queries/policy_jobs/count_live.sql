-- What the bound on a tenant's live policy jobs is compared with.
SELECT count(*) FROM scheduler.policy_jobs j WHERE j.tenant_id = $1 AND j.state IN ('queued', 'running')
