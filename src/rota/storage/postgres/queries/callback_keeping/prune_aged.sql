-- Forgets addresses that nobody waits for and that were kept long enough: those of attempts that ended otherwise, too.
-- service: the leader serves all tenants.
WITH gone AS (
    DELETE FROM scheduler.callbacks c
     WHERE c.secret_hash = ANY (ARRAY(SELECT b.secret_hash
                                        FROM scheduler.callbacks b
                                       WHERE (b.waiting_token IS NULL OR b.ended_at IS NOT NULL)
                                         AND b.keep_until <= (SELECT scheduler.current_time())
                                       ORDER BY b.keep_until
                                       LIMIT $1))
       AND (c.waiting_token IS NULL OR c.ended_at IS NOT NULL)
    RETURNING c.run_id
)
SELECT count(*) AS gone_count FROM gone
