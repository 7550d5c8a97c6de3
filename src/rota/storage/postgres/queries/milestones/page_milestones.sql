-- A tenant's milestones by subject and name. $2 subject, $3 name, $4 state, or NULL; $5 and $6 subject and name to start behind,
-- $7 limit, $8 offset, $9 where counting ends or NULL. An empty page is one row without an id.
WITH matching AS NOT MATERIALIZED (
    SELECT *
      FROM scheduler.milestones
     WHERE tenant_id = $1
       AND subject = coalesce($2, subject)
       AND name = coalesce($3, name)
       AND state = coalesce($4, state)
), total AS (
    SELECT count(*) AS total_count FROM (SELECT FROM matching LIMIT $9) AS c
), listed AS (
    SELECT * FROM matching WHERE (subject, name) > ($5, $6) ORDER BY subject, name LIMIT $7 OFFSET $8
)
SELECT total.total_count, k.name AS id, k.tenant_id, k.subject, k.name, k.state, k.schedule_id::text AS schedule_id, k.due_at,
       k.next_at, k.attempts_count, k.attempts_total, k.retry_delay_seconds, k.backoff_until, k.last_attempt_at,
       k.last_run_at, k.generated_at, k.last_error, k.run_id::text AS run_id, k.held_since
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.subject, k.name
