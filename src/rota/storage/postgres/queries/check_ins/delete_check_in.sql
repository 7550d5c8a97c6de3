-- Its address is dead from the commit on: nothing is left that it could name.
DELETE FROM scheduler.check_ins
 WHERE tenant_id = $1 AND id = $2
RETURNING id, tenant_id, name, cron, timezone, every_seconds, grace_seconds, state, created_at, created_by,
       started_at, succeeded_at, failed_at, missed_at, expected_at, deadline_at, paused_at, old_token_until
