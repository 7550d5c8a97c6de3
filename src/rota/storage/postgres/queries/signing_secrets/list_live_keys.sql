-- The keys by which the requests of a batch of claims are signed, the newest secret of each name first.
-- $1 tenants, $2 names, of the same length.
-- service: a worker claims runs of all tenants.
SELECT s.tenant_id, s.name, s.key
  FROM ROWS FROM (unnest($1::text[]), unnest($2::text[])) AS wanted (tenant_id, name)
  JOIN scheduler.signing_secrets s
    ON s.tenant_id = wanted.tenant_id AND s.name = wanted.name AND s.retired_at IS NULL
 ORDER BY s.tenant_id, s.name, s.id DESC
