-- The states that graph jobs came into, in the transaction that moves them. $1 tenants, $2 jobs, $3 states, $4 times, $5 reasons.
INSERT INTO scheduler.graph_job_events (id, job_id, tenant_id, state, at, reason)
SELECT scheduler.uuid7_at(e.at), e.job_id, e.tenant_id, e.state, e.at, e.reason
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[]) AS e (tenant_id, job_id, state, at, reason)
