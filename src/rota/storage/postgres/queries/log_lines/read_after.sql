-- A run's output behind a place in it, in order.
SELECT l.run_id::text AS run_id, l.attempt_no, l.seq, l.at, l.stream, l.text
  FROM scheduler.log_lines l
 WHERE l.tenant_id = $1
   AND l.run_id = $2
   AND (l.attempt_no, l.seq) > ($3, $4)
 ORDER BY l.attempt_no, l.seq
 LIMIT $5
