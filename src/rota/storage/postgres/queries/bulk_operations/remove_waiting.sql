-- The live rows of the waiting ones of a batch, which are held, go; each end is an event. Behind a serial one of them another
-- may have waited: it is called.
WITH removed AS (
    DELETE FROM scheduler.live_runs l
     WHERE l.state = 'queued'
       AND l.tenant_id = $1
       AND l.run_id = ANY ($2::uuid[])
    RETURNING l.run_id, l.schedule_id, l.attempts_count
), told AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, actor, data)
    SELECT scheduler.uuid7_at(c.now), $1, c.now, 'RunCancelled', x.run_id::text, $4,
           jsonb_build_object('schedule_id', x.schedule_id, 'attempt_no', x.attempts_count, 'reason', $5::text)
      FROM removed x
     CROSS JOIN (SELECT scheduler.current_time() AS now) AS c
)
SELECT count(*)
  FROM (SELECT count(*) FROM removed) AS done
  LEFT JOIN LATERAL scheduler.call_waiting($3::uuid[]) AS called ON cardinality($3::uuid[]) > 0
