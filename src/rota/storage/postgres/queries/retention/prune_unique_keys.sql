-- As prune_run_keys: the key of a run that is live stays, and so does one that is held for ever.
-- service: the platform's history is of all tenants.
WITH gone AS (
    DELETE FROM scheduler.unique_keys k
     WHERE k.ctid >= format('(%s,0)', $1::bigint)::tid
       AND k.ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid
       AND coalesce(k.taken_at, '-infinity') < (SELECT scheduler.current_time() - make_interval(days => r.keep_days)
                             FROM scheduler.retention r WHERE r.kind = 'unique_keys')
       AND NOT (k.is_forever AND k.run_id IS NOT NULL)
       AND NOT EXISTS (SELECT FROM scheduler.live_runs q
                        WHERE q.tenant_id = k.tenant_id AND q.run_id = k.run_id AND q.state = 'queued' OFFSET 0)
       AND NOT EXISTS (SELECT FROM scheduler.live_runs w WHERE w.run_id = k.run_id AND w.worker_id IS NOT NULL OFFSET 0)
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted_count,
       CASE WHEN ($1 + $2) * current_setting('block_size')::bigint
                 < pg_catalog.pg_relation_size('scheduler.unique_keys') THEN $1 + $2 END AS next_page
