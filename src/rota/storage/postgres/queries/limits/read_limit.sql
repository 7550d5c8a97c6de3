-- One limit, with what runs under it and how many more may begin.
-- service: a limit of a queue counts the runs of all tenants.
SELECT l.kind, l.name, l.version, l.concurrency_max, l.rate_per_second, l.burst, l.updated_at, l.updated_by,
       CASE l.kind
       WHEN 'queue' THEN
           (SELECT count(*) FROM scheduler.live_runs v WHERE v.queue = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited)
       ELSE
           (SELECT count(*) FROM scheduler.live_runs v WHERE v.tenant_id = l.name COLLATE "default" AND v.worker_id IS NOT NULL AND v.is_limited)
       END AS running_count,
       greatest(0, r.room) AS room
  FROM scheduler.limits l
 CROSS JOIN LATERAL scheduler.room_of(ARRAY[l.name], ARRAY[l.name], false) AS r
 WHERE l.kind = $1
   AND l.name = $2
   AND r.kind = l.kind
