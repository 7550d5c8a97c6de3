-- What came of a job, in place of what an earlier attempt saved; the caller holds the attempt. $1 tenant_id, $2 run.
UPDATE scheduler.graph_jobs j
   SET result = $3, result_hash = $4, summary = $5::jsonb
 WHERE j.tenant_id = $1
   AND j.run_id = $2::uuid
   AND j.state = 'running'
RETURNING j.id::text
