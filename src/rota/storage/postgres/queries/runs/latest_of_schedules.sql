-- The latest runs of each of some schedules, schedule by schedule, newest first: each by its own index.
-- A rare schedule keeps its marks beside a frequent one. The view adds what is live, run by run.
SELECT wanted.schedule_id::text AS schedule_id, r.id::text AS id, r.state, r.due_at
  FROM unnest($2::uuid[]) AS wanted (schedule_id)
 CROSS JOIN LATERAL (
       SELECT h.id
         FROM scheduler.runs h
        WHERE h.tenant_id = $1
          AND h.schedule_id = wanted.schedule_id
        ORDER BY h.id DESC
        LIMIT $3) AS found
 CROSS JOIN LATERAL (
       SELECT * FROM scheduler.run_records b WHERE b.tenant_id = $1 AND b.id = found.id OFFSET 0) AS r
 ORDER BY wanted.schedule_id, r.id DESC
