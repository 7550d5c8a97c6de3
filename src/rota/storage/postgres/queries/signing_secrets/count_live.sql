-- What the bounds on live secrets are compared with: $1 tenant_id, $2 name.
SELECT count(*) FILTER (WHERE name = $2) AS of_name_count, count(*) AS of_tenant_count
  FROM scheduler.signing_secrets
 WHERE tenant_id = $1 AND retired_at IS NULL
