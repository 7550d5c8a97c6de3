-- Its replay has been asked for: the judgement is pending no more.
UPDATE scheduler.policy_jobs j SET replay_pending = NULL WHERE j.tenant_id = $1 AND j.id = $2::uuid
