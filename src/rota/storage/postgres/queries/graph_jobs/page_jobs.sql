-- A tenant's graph jobs, newest first. $1 tenant_id, $2 kind, $3 state, $4 id to start behind, $5 limit, $6 offset,
-- $7 where counting ends or NULL. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count
      FROM (SELECT
              FROM scheduler.graph_jobs j
             WHERE j.tenant_id = $1
               AND ($2::text IS NULL OR j.kind = $2)
               AND ($3::text IS NULL OR j.state = $3)
             LIMIT $7) AS c
), listed AS (
    SELECT *
      FROM scheduler.graph_job_records j
     WHERE j.tenant_id = $1
       AND j.job_id < coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
       AND ($2::text IS NULL OR j.kind = $2)
       AND ($3::text IS NULL OR j.state = $3)
     ORDER BY j.job_id DESC
     LIMIT $5 OFFSET $6
)
SELECT total.total_count, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.job_id DESC
