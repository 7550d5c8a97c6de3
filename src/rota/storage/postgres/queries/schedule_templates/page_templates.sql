-- A tenant's templates by name. $1 tenant_id, $2 name to start behind, $3 limit, $4 offset. An empty page is one row
-- without an id.
WITH total AS (
    SELECT count(*) AS total_count FROM scheduler.schedule_templates WHERE tenant_id = $1
), listed AS (
    SELECT * FROM scheduler.schedule_templates WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3 OFFSET $4
)
SELECT total.total_count, k.name AS id, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.name
