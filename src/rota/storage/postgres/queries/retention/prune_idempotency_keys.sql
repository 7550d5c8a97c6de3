-- Removes what is older than its rule from a stretch of pages: bounded, whatever the table's size, and without an index.
-- Answers the page to go on from, none at the end.
-- service: the platform's history is of all tenants.
WITH gone AS (
    DELETE FROM scheduler.idempotency_keys k
     WHERE k.ctid >= format('(%s,0)', $1::bigint)::tid
       AND k.ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid
       AND k.created_at < (SELECT scheduler.current_time() - make_interval(days => r.keep_days)
                             FROM scheduler.retention r WHERE r.kind = 'idempotency_keys')
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted_count,
       CASE WHEN ($1 + $2) * current_setting('block_size')::bigint
                 < pg_catalog.pg_relation_size('scheduler.idempotency_keys') THEN $1 + $2 END AS next_page
