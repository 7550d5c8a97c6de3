-- Ended graph jobs, policy jobs and workers that have left are kept for so long, too. See `rota.domain.retention.KINDS`.

-- Jobs are kept no less long than what hangs on them, whatever was set for that.
INSERT INTO scheduler.retention (kind, keep_days)
SELECT 'graph_jobs', max(r.keep_days) FROM scheduler.retention r WHERE r.kind IN ('graph_job_events', 'graph_items')
 UNION ALL
SELECT 'policy_jobs', max(r.keep_days) FROM scheduler.retention r WHERE r.kind IN ('policy_verdicts', 'policy_simulations')
 UNION ALL
SELECT 'workers', 30
    ON CONFLICT (kind) DO NOTHING;

GRANT DELETE ON scheduler.graph_jobs, scheduler.policy_jobs, scheduler.workers TO rota_service;
