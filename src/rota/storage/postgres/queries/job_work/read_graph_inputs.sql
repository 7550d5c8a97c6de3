-- What the attempts of graph jobs are handed: their own documents, and the graph that an overlay is laid on.
-- service: a worker claims runs of all tenants.
SELECT j.run_id::text AS run_id, j.id::text AS job_id, j.kind, j.input, g.result AS graph
  FROM scheduler.graph_jobs j
  LEFT JOIN scheduler.graph_jobs g ON g.tenant_id = j.tenant_id AND g.id = j.base_job_id AND g.state = 'succeeded'
 WHERE j.run_id = ANY ($1::uuid[])
   AND j.state = 'running'
