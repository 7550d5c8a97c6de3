-- Holds those of a batch's runs that are live, in the order of their ids, so that two operations do not deadlock.
SELECT l.run_id::text AS run_id, l.schedule_id::text AS schedule_id, l.state, l.attempts_count,
       l.is_serial AND NOT l.is_parked AS stands_first
  FROM (SELECT u.run_id FROM unnest($2::uuid[]) AS u (run_id) ORDER BY u.run_id) AS g
 CROSS JOIN LATERAL (
       SELECT v.run_id, v.schedule_id, v.state, v.attempts_count, v.is_serial, v.is_parked
         FROM scheduler.live_runs v
        WHERE (v.state = 'queued' AND v.tenant_id = $1 AND v.run_id = g.run_id)
           OR (v.worker_id IS NOT NULL AND v.tenant_id = $1 AND v.run_id = g.run_id)
          FOR UPDATE) AS l
