-- Ends attempts, each under its token, and moves their runs on; a stale token changes nothing and harms no neighbour.
-- A run whose cancelling was asked for is not queued again: so what would be queued is locked first, then judged. What
-- ends is removed without another lock. It is found by all ids at once, and matched by their hashes: matched one by one, it
-- would be found by reading all that is claimed wherever the server takes the table for empty. Rows are visited in the order of their ids, so that two settlers do not deadlock.
-- `give_back` returns a claim that was never begun: its attempt is not counted, its place is kept.
-- Records are ended by a function: a statement that locks rows may not prune partitions (see tests/integration/plans).
-- A serial run's turn ends with its attempt. Rows without `n` name the queues in which a run now may have the turn, and the
-- places that were taken again by what was given back.
-- What waits for its next try leaves its place of a concurrency key; `key` names keys that may have a free one.
-- A column that may be NULL is empty where all its values are; any other has one element where all are the same.
WITH given AS MATERIALIZED (
    SELECT g.n, g.run_id, g.token, g.result, g.error,
           coalesce(g.verb, ($3::text[])[1]) AS verb,
           coalesce(g.outcome, ($4::text[])[1]) AS outcome,
           coalesce(g.reason, ($5::text[])[1]) AS reason,
           coalesce(g.delay_seconds, ($6::float8[])[1]) AS delay_seconds,
           coalesce(g.dead_letter, ($9::boolean[])[1]) AS dead_letter
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::jsonb[], $8::jsonb[],
                  $9::boolean[])
           WITH ORDINALITY AS g (run_id, token, verb, outcome, reason, delay_seconds, result, error, dead_letter, n)
), held AS MATERIALIZED (
    SELECT g.n, l.place, g.run_id, g.verb, g.outcome, g.reason, g.delay_seconds, g.result, g.error, g.dead_letter,
           l.tenant_id, l.schedule_id, l.worker_id, l.started_at, l.attempts_count,
           l.cancel_requested_at IS NOT NULL AS is_cancelled
      FROM (SELECT * FROM given WHERE verb IN ('retry', 'give_back') ORDER BY run_id) AS g
     CROSS JOIN LATERAL (
           SELECT v.ctid AS place, v.* FROM scheduler.live_runs v
            WHERE v.run_id = g.run_id
              AND v.attempt_token = g.token
              AND v.worker_id IS NOT NULL
              FOR UPDATE) AS l
), clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now FROM (SELECT count(*) FROM held) AS locked
), requeued AS (
    UPDATE scheduler.live_runs l
       SET state = 'queued',
           worker_id = NULL,
           started_at = NULL,
           hard_deadline_at = NULL,
           due_at = CASE WHEN h.verb <> 'retry' THEN l.due_at
                         WHEN l.key_id IS NOT NULL AND h.delay_seconds > 0 THEN 'infinity'
                         ELSE c.now + make_interval(secs => h.delay_seconds) END,
           wanted_at = CASE WHEN l.key_id IS NOT NULL AND h.verb = 'retry' AND h.delay_seconds > 0 THEN
                                 c.now + make_interval(secs => h.delay_seconds) END,
           attempts_count = l.attempts_count - (h.verb = 'give_back')::integer,
           is_asleep = h.verb = 'retry' AND h.delay_seconds > 0,
           losses_count = l.losses_count + (h.verb = 'retry' AND h.outcome = 'lost')::integer
      FROM held h
     CROSS JOIN clock c
     WHERE l.ctid = h.place
       AND NOT h.is_cancelled
    RETURNING h.n, h.run_id, h.verb, h.outcome, h.reason, h.result, h.error, h.dead_letter, h.verb <> 'give_back' AS counts,
              h.tenant_id, h.schedule_id, h.worker_id, h.started_at, h.attempts_count, l.is_serial,
              CASE WHEN l.is_limited THEN l.queue END AS limited_queue, l.key_id, l.queue, l.priority, l.due_at
), removed AS (
    DELETE FROM scheduler.live_runs l
     USING (SELECT * FROM given ORDER BY run_id) AS g
     WHERE l.run_id = ANY ($1::uuid[])
       AND uuid_hash(l.run_id) = uuid_hash(g.run_id)
       AND NOT l.run_id <> g.run_id
       AND l.attempt_token = g.token
       AND l.worker_id IS NOT NULL
       AND (g.verb IN ('succeed', 'fail', 'cancel') OR g.n IN (SELECT h.n FROM held h WHERE h.is_cancelled))
    RETURNING g.n, g.run_id, CASE WHEN g.verb IN ('succeed', 'fail') THEN g.verb ELSE 'cancel' END AS verb,
              g.outcome, g.reason, g.result, g.error, g.dead_letter, g.verb <> 'give_back' AS counts,
              l.tenant_id, l.schedule_id, l.worker_id, l.started_at, l.attempts_count, l.is_serial,
              CASE WHEN l.is_limited THEN l.queue END AS limited_queue, l.key_id, l.queue, l.priority, l.due_at
), ended AS MATERIALIZED (
    SELECT count(*)
      FROM (SELECT array_agg(h.tenant_id) AS tenants, array_agg(h.run_id) AS ids,
                   array_agg(CASE h.verb WHEN 'succeed' THEN 'succeeded' WHEN 'fail' THEN 'failed' ELSE 'cancelled' END) AS states,
                   array_agg(h.reason) AS reasons,
                   array_agg(h.attempts_count - (NOT h.counts)::integer) AS attempts,
                   array_agg(CASE WHEN h.counts THEN h.worker_id END) AS workers,
                   array_agg(CASE WHEN h.counts THEN h.started_at END) AS starts,
                   array_agg(h.result) AS results, array_agg(h.error) AS errors, array_agg(h.dead_letter) AS dead
              FROM removed h
            HAVING count(*) > 0) AS g
     CROSS JOIN clock c
     CROSS JOIN LATERAL scheduler.end_runs(g.tenants, g.ids, g.states, g.reasons, g.attempts, g.workers, g.starts, g.results,
                                           g.errors, g.dead, c.now)
), settled AS (
    SELECT * FROM requeued UNION ALL SELECT * FROM removed
), freed AS MATERIALIZED (
    SELECT w.schedule_id, w.queue
      FROM (SELECT array_agg(s.schedule_id) AS schedules FROM settled s WHERE s.is_serial HAVING count(*) > 0) AS g
     CROSS JOIN LATERAL scheduler.end_turns(g.schedules) AS w
), tried AS (
    INSERT INTO scheduler.attempts (run_id, attempt_no, worker_id, started_at, finished_at, tenant_id, outcome, error)
    SELECT s.run_id, s.attempts_count, s.worker_id, s.started_at, c.now, s.tenant_id, s.outcome, s.error
      FROM settled s
     CROSS JOIN clock c
     WHERE s.counts
       AND s.outcome <> 'succeeded'
), told AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
    SELECT scheduler.uuid7_at(c.now), s.tenant_id, c.now, fact.type, s.run_id::text,
           jsonb_build_object('schedule_id', s.schedule_id, 'attempt_no', s.attempts_count, 'reason', s.reason)
      FROM settled s
     CROSS JOIN clock c
     CROSS JOIN LATERAL (VALUES
           (CASE WHEN s.counts THEN
                 CASE s.outcome WHEN 'timed_out' THEN 'AttemptTimedOut' WHEN 'lost' THEN 'AttemptLost' END END),
           (CASE s.verb WHEN 'fail' THEN 'RunFailed' WHEN 'cancel' THEN 'RunCancelled' END)) AS fact (type)
     WHERE s.outcome <> 'succeeded'
       AND fact.type IS NOT NULL
)
SELECT s.n, CASE WHEN s.is_serial THEN s.schedule_id::text END AS turn, s.limited_queue AS queue,
       s.key_id::text AS key, NULL::smallint AS priority, NULL AS tenant_id, NULL::timestamptz AS due_at
  FROM settled s
 CROSS JOIN ended
 UNION ALL
SELECT NULL, f.schedule_id::text, f.queue, NULL, NULL, NULL, NULL FROM freed f
 UNION ALL
SELECT NULL, NULL, q.queue, NULL, q.priority, q.tenant_id, q.due_at FROM requeued q WHERE q.verb = 'give_back'
