-- What an earlier attempt saved, in the transaction that saves anew.
DELETE FROM scheduler.policy_verdicts i WHERE i.tenant_id = $1 AND i.job_id = $2::uuid
