-- Ends attempts, each under its token, as settle_batch does: those that succeeded alike under one token, which is what a worker
-- claimed at once and what returned nothing to tell apart. The common case, for which a short statement costs half.
-- service: a worker serves all tenants.
-- $1 are the ids in their order, so that two settlers do not deadlock; $5 and $6 the first and the last of them.
-- What is claimed has a worker: said in this way, no index but that of claimed runs can serve, whatever is expected.
-- It answers with the ids that it accepted, unless these are all, with the queues in which a run now may have a turn,
-- and with the concurrency keys of which a place may be free.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), removed AS (
    DELETE FROM scheduler.live_runs l
     WHERE l.run_id = ANY ($1::uuid[])
       AND l.attempt_token = $2
       AND l.worker_id IS NOT NULL
    RETURNING l.run_id, l.tenant_id, l.schedule_id, l.worker_id, l.started_at, l.attempts_count, l.is_serial,
              CASE WHEN l.is_limited THEN l.queue END AS limited_queue, l.key_id
), alike AS MATERIALIZED (
    SELECT m.tenant_id, m.worker_id, m.started_at, m.attempts_count, array_agg(m.run_id) AS run_ids
      FROM removed m
     GROUP BY m.tenant_id, m.worker_id, m.started_at, m.attempts_count
), ended AS (
    UPDATE scheduler.runs r
       SET state = 'succeeded',
           reason = CASE WHEN $3 = '' THEN r.reason ELSE $3 END,
           attempts_count = a.attempts_count,
           worker_id = a.worker_id,
           started_at = a.started_at,
           finished_at = c.now,
           result = $4::jsonb
      FROM alike a
     CROSS JOIN clock c
     WHERE r.tenant_id = a.tenant_id
       AND r.id = ANY (a.run_ids)
       AND r.id BETWEEN $5::uuid AND $6::uuid
), freed AS MATERIALIZED (
    SELECT w.schedule_id, w.queue
      FROM (SELECT array_agg(m.schedule_id) AS schedules FROM removed m WHERE m.is_serial HAVING count(*) > 0) AS g
     CROSS JOIN LATERAL scheduler.end_turns(g.schedules) AS w
)
SELECT m.accepted,
       ARRAY(SELECT s.run_id::text FROM removed s WHERE s.is_serial ORDER BY s.run_id) AS serial_ids,
       ARRAY(SELECT s.schedule_id::text FROM removed s WHERE s.is_serial ORDER BY s.run_id) AS turns,
       ARRAY(SELECT f.schedule_id::text FROM freed f ORDER BY f.schedule_id, f.queue) AS freed_turns,
       ARRAY(SELECT f.queue FROM freed f ORDER BY f.schedule_id, f.queue) AS freed_queues,
       ARRAY(SELECT s.run_id::text FROM removed s WHERE s.limited_queue IS NOT NULL ORDER BY s.run_id) AS limited_ids,
       ARRAY(SELECT DISTINCT s.key_id::text FROM removed s WHERE s.key_id IS NOT NULL) AS keys,
       ARRAY(SELECT s.limited_queue FROM removed s WHERE s.limited_queue IS NOT NULL ORDER BY s.run_id) AS limited_queues
  FROM (SELECT CASE WHEN count(*) < cardinality($1::uuid[]) THEN coalesce(array_agg(s.run_id::text), '{}') END AS accepted
          FROM removed s) AS m
