-- The last judgement that holds for a policy and a graph; the index has no other rows.
SELECT *
  FROM scheduler.policy_job_records j
 WHERE j.tenant_id = $1
   AND j.job_id = (SELECT e.id
                     FROM scheduler.policy_jobs e
                    WHERE e.tenant_id = $1 AND e.graph_job_id = $3::uuid AND e.policy_id = $2
                      AND e.state = 'succeeded' AND e.mode <> 'simulate'
                    ORDER BY e.id DESC
                    LIMIT 1)
