-- Says why a judgement should be made again; only of one that was made.
UPDATE scheduler.policy_jobs j SET replay_pending = $3 WHERE j.tenant_id = $1 AND j.id = $2::uuid AND j.state = 'succeeded'
RETURNING j.id::text
