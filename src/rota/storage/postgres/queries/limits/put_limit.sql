-- Sets a limit while no claim is under way (hold_claims). A new or changed rate begins with a full burst.
INSERT INTO scheduler.limits AS l (kind, name, concurrency_max, rate_per_second, burst, tokens, tokens_at, updated_at, updated_by)
SELECT $1, $2, $3, $4, $5, coalesce($5::integer, 0), c.now, c.now, $6 FROM (SELECT scheduler.current_time() AS now) AS c
    ON CONFLICT (kind, name) DO UPDATE
   SET version = l.version + 1,
       concurrency_max = excluded.concurrency_max,
       rate_per_second = excluded.rate_per_second,
       burst = excluded.burst,
       tokens = CASE WHEN l.rate_per_second = excluded.rate_per_second AND l.burst = excluded.burst THEN l.tokens ELSE excluded.tokens END,
       tokens_at = CASE WHEN l.rate_per_second = excluded.rate_per_second AND l.burst = excluded.burst THEN l.tokens_at ELSE excluded.tokens_at END,
       updated_at = excluded.updated_at,
       updated_by = excluded.updated_by
RETURNING kind, name, version, concurrency_max, rate_per_second, burst, updated_at, updated_by
