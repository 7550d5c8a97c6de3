-- Holds unique keys until the transaction ends, known ones and new ones, so that of two callers the later sees the earlier's
-- run. In the order of the keys, so that two batches do not deadlock. What is once asked for for ever stays.
INSERT INTO scheduler.unique_keys AS known (key, tenant_id, run_id, taken_at, is_forever)
SELECT u.key, $1, NULL, NULL, u.is_forever
  FROM unnest($2::uuid[], $3::boolean[]) AS u (key, is_forever)
 ORDER BY u.key
    ON CONFLICT (key) DO UPDATE SET is_forever = known.is_forever OR excluded.is_forever
