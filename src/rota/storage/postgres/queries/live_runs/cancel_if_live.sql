-- Cancels a run that waits, or marks one that runs so that its worker is told. No row: it is not live.
-- One condition finds it in whichever of the two indexes it is, also when it was claimed or queued again a moment ago.
-- Another run of its schedule may have waited behind it: that one is called.
WITH held AS MATERIALIZED (
    SELECT l.run_id, l.tenant_id, l.schedule_id, l.state, l.attempts_count, l.is_serial, l.is_parked
      FROM scheduler.live_runs l
     WHERE (l.state = 'queued' AND l.tenant_id = $1 AND l.run_id = $2)
        OR (l.worker_id IS NOT NULL AND l.tenant_id = $1 AND l.run_id = $2)
       FOR UPDATE
), clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now FROM (SELECT count(*) FROM held) AS locked
), removed AS (
    DELETE FROM scheduler.live_runs l
     USING held h
     WHERE h.state = 'queued'
       AND ((l.state = 'queued' AND l.tenant_id = $1 AND l.run_id = $2)
            OR (l.worker_id IS NOT NULL AND l.tenant_id = $1 AND l.run_id = $2))
    RETURNING h.*
), marked AS (
    UPDATE scheduler.live_runs l
       SET cancel_requested_at = coalesce(l.cancel_requested_at, c.now)
      FROM held h
     CROSS JOIN clock c
     WHERE h.state = 'running'
       AND ((l.state = 'queued' AND l.tenant_id = $1 AND l.run_id = $2)
            OR (l.worker_id IS NOT NULL AND l.tenant_id = $1 AND l.run_id = $2))
), called AS MATERIALIZED (
    SELECT count(*)
      FROM (SELECT array_agg(h.schedule_id) AS schedules
              FROM removed h
             WHERE h.is_serial
               AND NOT h.is_parked
            HAVING count(*) > 0) AS g
     CROSS JOIN LATERAL scheduler.call_waiting(g.schedules)
), ended AS (
    UPDATE scheduler.runs r
       SET state = 'cancelled', reason = 'cancelled on request', attempts_count = h.attempts_count, finished_at = c.now
      FROM removed h
     CROSS JOIN clock c
     WHERE r.tenant_id = $1
       AND r.id = $2
), told AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, actor, data)
    SELECT scheduler.uuid7_at(c.now), h.tenant_id, c.now, 'RunCancelled', h.run_id::text, $3,
           jsonb_build_object('schedule_id', h.schedule_id, 'attempt_no', h.attempts_count,
                              'reason', 'cancelled on request')
      FROM removed h
     CROSS JOIN clock c
), audited AS (
    INSERT INTO scheduler.audit (id, tenant_id, at, actor, verb, resource, resource_id, request_id)
    SELECT scheduler.uuid7_at(c.now), $1, c.now, $3, $4, $5, $6, $7
      FROM held h
     CROSS JOIN clock c
)
SELECT h.state FROM held h CROSS JOIN called
