-- As prune_idempotency_keys, of jobs that have ended. What a live job is made from stays: its graph, its overlays, and those of
-- the judgement that it goes on from; and what a judgement was made from that is marked for replay.
-- service: the platform's history is of all tenants.
WITH gone AS (
    DELETE FROM scheduler.graph_jobs g
     WHERE g.ctid >= format('(%s,0)', $1::bigint)::tid
       AND g.ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid
       AND g.state IN ('succeeded', 'failed', 'cancelled')
       AND g.finished_at < (SELECT scheduler.current_time() - make_interval(days => r.keep_days)
                              FROM scheduler.retention r WHERE r.kind = 'graph_jobs')
       AND NOT EXISTS (SELECT FROM scheduler.graph_jobs o
                        WHERE o.tenant_id = g.tenant_id AND o.state IN ('queued', 'running') AND o.base_job_id = g.id)
       AND NOT EXISTS (SELECT FROM scheduler.policy_jobs p
                         LEFT JOIN scheduler.policy_jobs b ON b.tenant_id = p.tenant_id AND b.id = p.base_job_id
                        WHERE p.tenant_id = g.tenant_id
                          AND p.state IN ('queued', 'running')
                          AND (p.graph_job_id = g.id OR g.id = ANY (p.overlay_job_ids) OR g.id = ANY (b.overlay_job_ids)))
       AND NOT EXISTS (SELECT FROM scheduler.policy_jobs p
                         LEFT JOIN scheduler.policy_jobs b ON b.tenant_id = p.tenant_id AND b.id = p.base_job_id
                        WHERE p.tenant_id = g.tenant_id
                          AND p.replay_pending IS NOT NULL
                          AND (p.graph_job_id = g.id OR g.id = ANY (p.overlay_job_ids) OR g.id = ANY (b.overlay_job_ids)))
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted_count,
       CASE WHEN ($1 + $2) * current_setting('block_size')::bigint
                 < pg_catalog.pg_relation_size('scheduler.graph_jobs') THEN $1 + $2 END AS next_page
