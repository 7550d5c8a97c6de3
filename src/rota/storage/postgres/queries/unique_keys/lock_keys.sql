-- Holds unique keys until the transaction ends, known ones and new ones, so that of two callers the later sees the earlier's
-- run. In the order of the keys, so that two batches do not deadlock.
INSERT INTO scheduler.unique_keys AS known (key, tenant_id, run_id, taken_at)
SELECT u.key, $1, NULL, NULL
  FROM unnest($2::uuid[]) AS u (key)
 ORDER BY u.key
    ON CONFLICT (key) DO UPDATE SET key = known.key
