-- The states that a graph job came into, in order; they begin with the job, which bounds the partitions that are read.
SELECT e.id::text AS id, e.job_id::text AS job_id, e.tenant_id, e.state, e.at, e.reason
  FROM scheduler.graph_job_events e
 WHERE e.tenant_id = $1
   AND e.job_id = $2::uuid
 ORDER BY e.at, array_position(ARRAY['queued', 'running', 'succeeded', 'failed', 'cancelled'], e.state), e.id
 LIMIT $3
