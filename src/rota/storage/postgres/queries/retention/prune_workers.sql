-- As prune_idempotency_keys, of workers that have left and of which it is noted that they hold nothing.
WITH gone AS (
    DELETE FROM scheduler.workers w
     WHERE w.ctid >= format('(%s,0)', $1::bigint)::tid
       AND w.ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid
       AND w.state IN ('stopped', 'lost')
       AND w.is_cleared
       AND w.heartbeat_at < (SELECT scheduler.current_time() - make_interval(days => r.keep_days)
                               FROM scheduler.retention r WHERE r.kind = 'workers')
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted_count,
       CASE WHEN ($1 + $2) * current_setting('block_size')::bigint
                 < pg_catalog.pg_relation_size('scheduler.workers') THEN $1 + $2 END AS next_page
