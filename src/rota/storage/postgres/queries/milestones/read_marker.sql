-- The proof that a milestone was completed, with what it made.
SELECT tenant_id, name, subject, run_id::text AS run_id, completed_at, attempts_count, result
  FROM scheduler.done_markers
 WHERE tenant_id = $1 AND name = $2 AND subject = $3
