-- The jobs of runs that were claimed are running. $1 runs, $2 the states that a job may be begun in. A state that it was in
-- already is kept, so that only the first attempt tells.
-- service: a worker claims runs of all tenants.
WITH begun AS (
    SELECT j.id, j.state AS was
      FROM scheduler.graph_jobs j
     WHERE j.run_id = ANY ($1::uuid[]) AND j.state = ANY ($2::text[])
     ORDER BY j.id
       FOR NO KEY UPDATE
), clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now FROM (SELECT count(*) FROM begun) AS locked
)
UPDATE scheduler.graph_jobs j
   SET state = 'running', started_at = coalesce(j.started_at, c.now)
  FROM begun b
 CROSS JOIN clock c
 WHERE j.id = b.id
RETURNING j.id::text AS id, j.tenant_id, b.was, c.now
