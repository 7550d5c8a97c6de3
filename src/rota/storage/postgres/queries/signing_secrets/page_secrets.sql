-- A tenant's signing secrets, retired ones too, the oldest first; never their keys.
-- $1 tenant_id, $2 id to start behind, $3 limit, $4 offset. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count FROM scheduler.signing_secrets WHERE tenant_id = $1
), listed AS (
    SELECT id, tenant_id, name, created_at, created_by, retired_at
      FROM scheduler.signing_secrets
     WHERE tenant_id = $1 AND id > $2::uuid
     ORDER BY id
     LIMIT $3 OFFSET $4
)
SELECT total.total_count, k.id, k.tenant_id, k.name, k.created_at, k.created_by, k.retired_at
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.id
