-- Of its address only the hash is kept.
INSERT INTO scheduler.check_ins (
       id, tenant_id, name, token_hash, cron, timezone, every_seconds, grace_seconds, state, created_at, created_by,
       expected_at, deadline_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
