-- How large the packed results of jobs are: of those that have succeeded.
SELECT j.id::text AS id, length(j.result) AS packed_bytes
  FROM scheduler.policy_jobs j
 WHERE j.tenant_id = $1
   AND j.id = ANY ($2::uuid[])
   AND j.state = 'succeeded'
   AND j.result IS NOT NULL
