-- How the runs that have ended tell it: their reason, or the error of the last attempt.
-- service: the leader follows runs of all tenants.
SELECT r.id::text AS run_id, coalesce(nullif(r.error ->> 'message', ''), r.reason) AS reason
  FROM ROWS FROM (unnest($1::text[]), unnest($2::uuid[])) AS wanted (tenant_id, run_id)
 CROSS JOIN LATERAL (
       SELECT * FROM scheduler.runs w WHERE w.tenant_id = wanted.tenant_id AND w.id = wanted.run_id OFFSET 0) AS r
