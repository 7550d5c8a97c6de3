-- The run that executes a new job, in the transaction that makes both.
UPDATE scheduler.policy_jobs j SET run_id = $3::uuid WHERE j.tenant_id = $1 AND j.id = $2::uuid
