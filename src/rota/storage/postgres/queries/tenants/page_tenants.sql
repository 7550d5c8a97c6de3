-- The platform's list of tenants, by code point whatever the database's locale.
-- $1 id to start behind, $2 limit, $3 offset. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count FROM scheduler.tenants
), listed AS (
    SELECT id, name, created_at, created_by, revoked_at, weight
      FROM scheduler.tenants
     WHERE id COLLATE "C" > $1
     ORDER BY id COLLATE "C"
     LIMIT $2 OFFSET $3
)
SELECT total.total_count, t.id, t.name, t.created_at, t.created_by, t.revoked_at, t.weight
  FROM total
  LEFT JOIN listed t ON true
 ORDER BY t.id COLLATE "C"
