-- Answers kept beside idempotency keys: a verb that keeps no key of its own answers a repeated request as it did the first.

-- `claimed_until`: whoever claimed the key (`resource_id`) is at work until then at the latest; past it, also where the
-- request failed, the next claim takes the key over. `answer` is packed by the API, and empty where it may not be kept.
-- Keys that verbs reserve for themselves have neither.
ALTER TABLE scheduler.idempotency_keys ADD COLUMN IF NOT EXISTS claimed_until timestamptz;
ALTER TABLE scheduler.idempotency_keys ADD COLUMN IF NOT EXISTS answer bytea;
