-- One check-in as it is shown; its address is not kept.
SELECT id, tenant_id, name, cron, timezone, every_seconds, grace_seconds, state, created_at, created_by,
       started_at, succeeded_at, failed_at, missed_at, expected_at, deadline_at, paused_at, old_token_until
  FROM scheduler.check_ins
 WHERE tenant_id = $1 AND id = $2
