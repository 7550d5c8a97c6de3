-- A tenant's evidence by kind and subject. $2 kind or NULL, $3 and $4 kind and subject to start behind, $5 limit, $6 offset,
-- $7 where counting ends or NULL. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count
      FROM (SELECT FROM scheduler.evidence WHERE tenant_id = $1 AND kind = coalesce($2, kind) LIMIT $7) AS c
), listed AS (
    SELECT *
      FROM scheduler.evidence
     WHERE tenant_id = $1
       AND kind = coalesce($2, kind)
       AND (kind, subject) > ($3, $4)
     ORDER BY kind, subject
     LIMIT $5 OFFSET $6
)
SELECT total.total_count, k.subject AS id, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.kind, k.subject
