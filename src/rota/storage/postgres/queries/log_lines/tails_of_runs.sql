-- The last lines of each of some runs, run by run, in order: each tail by the key, whatever lies before it.
SELECT l.run_id::text AS run_id, l.attempt_no, l.seq, l.at, l.stream, l.text
  FROM unnest($2::uuid[]) AS wanted (run_id)
 CROSS JOIN LATERAL (
       SELECT t.run_id, t.attempt_no, t.seq, t.at, t.stream, t.text
         FROM scheduler.log_lines t
        WHERE t.tenant_id = $1
          AND t.run_id = wanted.run_id
        ORDER BY t.attempt_no DESC, t.seq DESC
        LIMIT $3) AS l
 ORDER BY l.run_id, l.attempt_no, l.seq
