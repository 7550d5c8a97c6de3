-- The first use of a key wins. The update that changes nothing takes the row's lock and reads what it says, so that of
-- two at once the later sees the earlier's row, committed.
-- $1 tenant_id, $2 scope, $3 keys (distinct), $4 fingerprints, $5 resource_ids
INSERT INTO scheduler.idempotency_keys AS known (tenant_id, scope, key, fingerprint, resource_id)
SELECT $1, $2, given.key, given.fingerprint, given.resource_id
  FROM unnest($3::text[], $4::bytea[], $5::text[]) AS given (key, fingerprint, resource_id)
 ORDER BY given.key
    ON CONFLICT (tenant_id, scope, key) DO UPDATE SET key = known.key
RETURNING key, fingerprint, resource_id
