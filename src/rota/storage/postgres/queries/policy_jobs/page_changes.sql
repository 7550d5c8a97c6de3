-- The result of a job that has succeeded, by position. $1 tenant_id, $2 job, $3 part, $4 position to start behind, $5 limit,
-- $6 offset. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count
      FROM scheduler.policy_simulations i
     WHERE i.tenant_id = $1 AND i.job_id = $2::uuid AND ($3::text IS NULL OR 'change' = $3)
), listed AS (
    SELECT i.position, i.position AS id, 'change' AS part, i.subject, i.data
      FROM scheduler.policy_simulations i
     WHERE i.tenant_id = $1 AND i.job_id = $2::uuid AND ($3::text IS NULL OR 'change' = $3) AND i.position > $4
     ORDER BY i.position
     LIMIT $5 OFFSET $6
)
SELECT total.total_count, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.position
