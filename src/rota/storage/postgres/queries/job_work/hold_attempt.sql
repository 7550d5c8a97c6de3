-- Whether an attempt is current. The row stays held until what it saves is committed: nobody can take the run away meanwhile,
-- and who has taken it before has another token.
-- service: a worker executes runs of all tenants.
SELECT l.tenant_id
  FROM scheduler.live_runs l
 WHERE l.run_id = $1::uuid
   AND l.attempt_token = $2
   AND l.worker_id IS NOT NULL
   FOR SHARE
