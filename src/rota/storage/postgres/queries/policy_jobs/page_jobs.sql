-- A tenant's policy jobs, newest first. $1 tenant_id, $2 mode, $3 state, $4 id to start behind, $5 limit, $6 offset,
-- $7 policy, $8 whether a replay is pending, $9 where counting ends or NULL. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count
      FROM (SELECT
              FROM scheduler.policy_jobs j
             WHERE j.tenant_id = $1
               AND ($2::text IS NULL OR j.mode = $2)
               AND ($3::text IS NULL OR j.state = $3)
               AND ($7::text IS NULL OR j.policy_id = $7)
               AND ($8::boolean IS NULL OR (j.replay_pending IS NOT NULL) = $8)
             LIMIT $9) AS c
), listed AS (
    SELECT *
      FROM scheduler.policy_job_records j
     WHERE j.tenant_id = $1
       AND j.job_id < coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
       AND ($2::text IS NULL OR j.mode = $2)
       AND ($3::text IS NULL OR j.state = $3)
       AND ($7::text IS NULL OR j.policy_id = $7)
       AND ($8::boolean IS NULL OR (j.replay_pending IS NOT NULL) = $8)
     ORDER BY j.job_id DESC
     LIMIT $5 OFFSET $6
)
SELECT total.total_count, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.job_id DESC
