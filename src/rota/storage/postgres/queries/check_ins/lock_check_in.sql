-- Of two pings the second sees what the first made; the clock is read after this (design law 4).
SELECT id, tenant_id, name, cron, timezone, every_seconds, grace_seconds, state, created_at, created_by,
       started_at, succeeded_at, failed_at, missed_at, expected_at, deadline_at, paused_at, old_token_until
  FROM scheduler.check_ins
 WHERE tenant_id = $1 AND id = $2
   FOR UPDATE
