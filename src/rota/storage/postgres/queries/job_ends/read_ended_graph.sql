-- The jobs that have just been ended, as readers get them.
-- service: the leader follows runs of all tenants.
SELECT * FROM scheduler.graph_job_records j WHERE j.job_id = ANY ($1::uuid[])
