-- What was decided about the milestone whose row lock_milestone holds.
UPDATE scheduler.milestones
   SET state = $4,
       schedule_id = $5,
       due_at = $6,
       next_at = $7,
       attempts_count = $8,
       attempts_total = $9,
       retry_delay_seconds = $10,
       backoff_until = $11,
       last_attempt_at = $12,
       last_run_at = $13,
       generated_at = $14,
       last_error = $15,
       run_id = $16,
       held_since = $17
 WHERE tenant_id = $1 AND name = $2 AND subject = $3
