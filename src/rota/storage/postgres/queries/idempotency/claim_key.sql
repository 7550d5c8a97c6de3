-- Claims a key, or tells who has claimed it and what was answered. A claim whose time is over, or that was given back, is
-- taken over, also for another request: nothing was answered under it.
INSERT INTO scheduler.idempotency_keys AS known (tenant_id, scope, key, fingerprint, resource_id, claimed_until)
VALUES ($1, $2, $3, $4, $5, scheduler.current_time() + make_interval(secs => $6))
    ON CONFLICT (tenant_id, scope, key) DO UPDATE
   SET (fingerprint, resource_id, claimed_until) = (
       SELECT CASE WHEN o.is_over THEN excluded.fingerprint ELSE known.fingerprint END,
              CASE WHEN o.is_over THEN excluded.resource_id ELSE known.resource_id END,
              CASE WHEN o.is_over THEN excluded.claimed_until ELSE known.claimed_until END
         FROM (SELECT coalesce(known.claimed_until <= scheduler.current_time(), false) AS is_over) AS o)
RETURNING fingerprint, resource_id, answer,
          CASE WHEN answer IS NULL THEN extract(epoch FROM claimed_until - scheduler.current_time())::float8 END AS left_seconds
