-- The jobs that have just been ended, as readers get them.
-- service: the leader follows runs of all tenants.
SELECT * FROM scheduler.policy_job_records j WHERE j.job_id = ANY ($1::uuid[])
