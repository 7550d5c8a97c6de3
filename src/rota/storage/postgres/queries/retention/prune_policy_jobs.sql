-- As prune_idempotency_keys, of jobs that have ended. What is to be judged again stays, and what that or a live
-- job goes on from.
-- service: the platform's history is of all tenants.
WITH gone AS (
    DELETE FROM scheduler.policy_jobs j
     WHERE j.ctid >= format('(%s,0)', $1::bigint)::tid
       AND j.ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid
       AND j.state IN ('succeeded', 'failed', 'cancelled')
       AND j.replay_pending IS NULL
       AND j.finished_at < (SELECT scheduler.current_time() - make_interval(days => r.keep_days)
                              FROM scheduler.retention r WHERE r.kind = 'policy_jobs')
       AND NOT EXISTS (SELECT FROM scheduler.policy_jobs p
                        WHERE p.tenant_id = j.tenant_id
                          AND p.state IN ('queued', 'running')
                          AND (p.base_job_id = j.id OR p.replay_of = j.id))
       AND NOT EXISTS (SELECT FROM scheduler.policy_jobs p
                        WHERE p.tenant_id = j.tenant_id AND p.replay_pending IS NOT NULL AND p.base_job_id = j.id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted_count,
       CASE WHEN ($1 + $2) * current_setting('block_size')::bigint
                 < pg_catalog.pg_relation_size('scheduler.policy_jobs') THEN $1 + $2 END AS next_page
