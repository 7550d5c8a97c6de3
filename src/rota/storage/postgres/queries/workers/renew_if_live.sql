-- One statement for all that a worker holds and waits for: prolongs its lease, tells it what to cancel and whether work
-- is due; a run that waits for its schedule's turn is not. Locked before the clock is read (law 4): a renewal that comes too late is refused (no row).
-- What is claimable is due, or a claim puts it to sleep. Until $4 it does not look; it says how many entries it passed (look_floors).
-- service: a worker serves all tenants.
WITH seen AS MATERIALIZED (
    SELECT w.id, w.lease_expires_at
      FROM scheduler.workers w
     WHERE w.id = $1
       AND w.state IN ('active', 'draining')
       FOR NO KEY UPDATE
), judged AS MATERIALIZED (
    SELECT s.*, scheduler.current_time() AS now,
           pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_claimable'::regclass)
           + pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_asleep'::regclass) AS entries_before
      FROM seen s
), renewed AS (
    UPDATE scheduler.workers w
       SET heartbeat_at = j.now,
           lease_expires_at = j.now + make_interval(secs => $3)
      FROM judged j
     WHERE w.id = j.id
       AND j.lease_expires_at > j.now
    RETURNING j.now, j.entries_before
), waiting AS MATERIALIZED (
    SELECT min(CASE WHEN due.due_at IS NOT NULL THEN j.now END) AS claimable_at, min(later.due_at) AS asleep_until
      FROM judged j
     CROSS JOIN unnest($2::text[]) AS q (queue)
      LEFT JOIN LATERAL (
           SELECT l.due_at
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = q.queue
              AND NOT l.is_parked
              AND NOT l.is_asleep
              AND NOT (l.is_serial
                       AND l.due_at <= (SELECT n.now FROM judged n)
                       AND EXISTS (SELECT FROM scheduler.schedule_turns t
                                    WHERE t.schedule_id = l.schedule_id
                                      AND t.is_taken))
            LIMIT 1) AS due ON true
      LEFT JOIN LATERAL (
           SELECT l.due_at
             FROM scheduler.live_runs l
            WHERE l.state = 'queued'
              AND l.queue = q.queue
              AND NOT l.is_parked
              AND l.is_asleep
              AND NOT (l.is_serial
                       AND l.due_at <= (SELECT n.now FROM judged n)
                       AND EXISTS (SELECT FROM scheduler.schedule_turns t
                                    WHERE t.schedule_id = l.schedule_id
                                      AND t.is_taken))
            ORDER BY l.due_at
            LIMIT 1) AS later ON true
     WHERE coalesce(j.now >= $4, true)
)
SELECT r.now, nullif(least(w.claimable_at, w.asleep_until), 'infinity') AS due_at, coalesce(r.now >= $4, true) AS is_full,
       pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_claimable'::regclass)
       + pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.live_runs_asleep'::regclass) - r.entries_before
           AS entries_count,
       ARRAY(SELECT l.run_id::text
               FROM scheduler.live_runs l
              WHERE l.worker_id = $1
                AND l.cancel_requested_at IS NOT NULL
              ORDER BY l.run_id) AS cancel_run_ids
  FROM renewed r
 CROSS JOIN waiting w
