-- The items of a result, in the order in which they are read. $1 tenant_id, $2 job, $3 parts, $4 subjects, $5 data.
INSERT INTO scheduler.graph_items (job_id, position, part, tenant_id, subject, data)
SELECT $2::uuid, i.n, i.part, $1, i.subject, i.data
  FROM unnest($3::text[], $4::text[], $5::jsonb[]) WITH ORDINALITY AS i (part, subject, data, n)
