-- A tenant's calendars by name; there are never more than its quota.
-- $1 tenant_id, $2 name to start behind, $3 limit, $4 offset. An empty page is one row without a name.
WITH total AS (
    SELECT count(*) AS total_count FROM scheduler.calendars c WHERE c.tenant_id = $1
), listed AS (
    SELECT c.* FROM scheduler.calendars c WHERE c.tenant_id = $1 AND c.name > $2 ORDER BY c.name LIMIT $3 OFFSET $4
)
SELECT total.total_count, k.name AS id, k.name, k.tenant_id, k.version, k.days::text AS days, k.created_at, k.created_by,
       k.updated_at, k.updated_by,
       (SELECT count(*)
          FROM scheduler.calendar_uses u
         WHERE u.tenant_id = $1 AND u.calendar_name = k.name) AS schedules_count
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.name
