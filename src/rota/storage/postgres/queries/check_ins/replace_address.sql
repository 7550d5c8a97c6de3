-- A new address; the last one is good for a while longer, and the one before it is dead. The row is held by lock_check_in.
UPDATE scheduler.check_ins
   SET old_token_hash = token_hash,
       old_token_until = scheduler.current_time() + make_interval(secs => $4),
       token_hash = $3
 WHERE tenant_id = $1 AND id = $2
RETURNING id, tenant_id, name, cron, timezone, every_seconds, grace_seconds, state, created_at, created_by,
       started_at, succeeded_at, failed_at, missed_at, expected_at, deadline_at, paused_at, old_token_until
