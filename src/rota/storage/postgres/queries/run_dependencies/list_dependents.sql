-- What waits or waited for a run, oldest first.
SELECT d.run_id::text AS run_id, u.state
  FROM (SELECT e.run_id
          FROM scheduler.run_dependencies e
         WHERE e.tenant_id = $1
           AND e.upstream_id = $2
         ORDER BY e.run_id
         LIMIT $3) AS d
 CROSS JOIN LATERAL (
       SELECT b.state FROM scheduler.run_records b WHERE b.tenant_id = $1 AND b.id = d.run_id OFFSET 0) AS u
 ORDER BY d.run_id
