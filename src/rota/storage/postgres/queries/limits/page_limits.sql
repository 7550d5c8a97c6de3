-- The platform's list of limits, by kind and name, with what runs under each and how many more may begin.
-- service: a limit of a queue counts the runs of all tenants.
-- $1 and $2 kind and name to start behind, $3 limit, $4 offset. An empty page is one row without a kind.
WITH total AS (
    SELECT count(*) AS total_count FROM scheduler.limits
), listed AS MATERIALIZED (
    SELECT * FROM scheduler.limits l WHERE (l.kind, l.name) > ($1::text, $2::text) ORDER BY l.kind, l.name LIMIT $3 OFFSET $4
)
SELECT total.total_count, l.kind || '/' || l.name AS id, l.kind, l.name, l.version, l.concurrency_max, l.rate_per_second, l.burst, l.updated_at, l.updated_by,
       CASE l.kind
       WHEN 'queue' THEN
           (SELECT count(*) FROM scheduler.live_runs v WHERE v.queue = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited)
       ELSE
           (SELECT count(*) FROM scheduler.live_runs v WHERE v.tenant_id = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited)
       END AS running_count,
       greatest(0, (SELECT r.room FROM scheduler.room_of(ARRAY[l.name], ARRAY[l.name], false) AS r WHERE r.kind = l.kind)) AS room
  FROM total
  LEFT JOIN listed l ON true
 ORDER BY l.kind, l.name
