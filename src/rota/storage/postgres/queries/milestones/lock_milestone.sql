-- Of two who would begin an attempt the second sees the first one's; the clock is read after this (design law 4).
SELECT tenant_id, subject, name, state, schedule_id::text AS schedule_id, due_at, next_at, attempts_count, attempts_total,
       retry_delay_seconds, backoff_until, last_attempt_at, last_run_at, generated_at, last_error, run_id::text AS run_id,
       held_since
  FROM scheduler.milestones
 WHERE tenant_id = $1 AND name = $2 AND subject = $3
   FOR UPDATE
