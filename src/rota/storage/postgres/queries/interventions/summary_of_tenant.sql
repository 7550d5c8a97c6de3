-- The open interventions of a tenant by class and type, from the index of those that need one. $1 tenant_id, $2 from how many
-- failures on one is critical. Each row has the oldest of its group.
SELECT coalesce(s.intervention ->> 'failure_class', 'unknown') AS failure_class,
       coalesce(s.target ->> 'task', s.target ->> 'kind') AS type,
       count(*) AS total_count,
       count(*) FILTER (WHERE (s.intervention ->> 'failures_count')::integer >= $2) AS critical_count,
       (array_agg(s.id::text ORDER BY (s.intervention ->> 'opened_at')::timestamptz, s.id))[1] AS oldest_id,
       (array_agg(s.name ORDER BY (s.intervention ->> 'opened_at')::timestamptz, s.id))[1] AS oldest_name,
       min((s.intervention ->> 'opened_at')::timestamptz) AS oldest_at
  FROM scheduler.schedules s
 WHERE s.tenant_id = $1 AND s.needs_intervention AND s.deleted_at IS NULL
 GROUP BY 1, 2
