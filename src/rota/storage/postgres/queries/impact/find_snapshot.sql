-- Whether a run was planned to the end.
SELECT EXISTS (SELECT FROM scheduler.impact_snapshots p WHERE p.tenant_id = $1 AND p.run_id = $2) AS is_there
