-- Held against the leader's next step while it is decided whether it may still be cancelled.
SELECT state FROM scheduler.backfills WHERE tenant_id = $1 AND id = $2 FOR UPDATE
