-- Which runs wait for which, with the last states of those that have ended.
INSERT INTO scheduler.run_dependencies (tenant_id, run_id, upstream_id, rule, upstream_state)
SELECT $1, e.run_id, e.upstream_id, e.rule, e.state
  FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]) AS e (run_id, upstream_id, rule, state)
    ON CONFLICT (run_id, upstream_id) DO NOTHING
