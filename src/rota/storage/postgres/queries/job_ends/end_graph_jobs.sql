-- Jobs follow the ends of their runs, by compare-and-set: only the moves that the lifecycle allows are made, $5 > $6.
-- service: the leader follows runs of all tenants.
UPDATE scheduler.graph_jobs j
   SET state = e.state, finished_at = e.ended_at, reason = e.reason
  FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[]) AS e (run_id, state, ended_at, reason)
 WHERE j.run_id = e.run_id
   AND EXISTS (SELECT FROM unnest($5::text[], $6::text[]) AS m (was, becomes) WHERE m.was = j.state AND m.becomes = e.state)
RETURNING j.id::text AS id, j.tenant_id, j.state, e.ended_at, e.reason
