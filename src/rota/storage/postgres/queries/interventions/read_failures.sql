-- What is remembered of a schedule's failures. $1 tenant_id, $2 schedule id.
SELECT f.failures::text AS failures
  FROM scheduler.schedule_failures f
 WHERE f.tenant_id = $1 AND f.schedule_id = $2
