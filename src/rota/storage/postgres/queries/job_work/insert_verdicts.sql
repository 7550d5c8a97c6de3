-- The items of a result, in the order in which they are read. $1 tenant_id, $2 job, $3 subjects, $4 data.
INSERT INTO scheduler.policy_verdicts (job_id, position, tenant_id, subject, data)
SELECT $2::uuid, i.n, $1, i.subject, i.data
  FROM unnest($3::text[], $4::jsonb[]) WITH ORDINALITY AS i (subject, data, n)
