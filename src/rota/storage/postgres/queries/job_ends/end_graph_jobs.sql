-- Jobs follow the ends of their runs, by compare-and-set: only the moves that the lifecycle allows are made. $1 runs, $2 what
-- their ends do, $3 times, $4 reasons; $5, $6 and $7 are the moves: from, by, to.
-- service: the leader follows runs of all tenants.
UPDATE scheduler.graph_jobs j
   SET state = m.becomes, finished_at = e.ended_at, reason = CASE m.becomes WHEN 'succeeded' THEN '' ELSE e.reason END
  FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[]) AS e (run_id, verb, ended_at, reason)
  JOIN unnest($5::text[], $6::text[], $7::text[]) AS m (was, verb, becomes) ON m.verb = e.verb
 WHERE j.run_id = e.run_id
   AND j.state = m.was
RETURNING j.id::text AS id
