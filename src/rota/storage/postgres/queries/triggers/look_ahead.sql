-- Tells the leader in one cheap statement what there is to do: the next fire, ended leases, workers that have left and may
-- hold something, attempts of live workers that are overdue by $1 seconds (NULL: none looked for), with deadlines after $2.
-- service: the leader serves all tenants.
-- Of followed runs it tells for whom some have ended, from one follower to the next, and whether any is live.
-- With $3 it looks for fires from $4 on, or of the last minute; it says how many index entries that passed (look_floors).
WITH RECURSIVE clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now,
           pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.triggers_due'::regclass) AS entries_before
), span AS MATERIALIZED (
    SELECT c.*, CASE WHEN $3 AND coalesce($4::timestamptz <= c.now, true)
                     THEN coalesce($4::timestamptz, c.now - interval '1 minute') END AS fires_from
      FROM clock c
), next AS MATERIALIZED (
    SELECT (SELECT t.next_fire_at
              FROM scheduler.triggers t
             WHERE t.next_fire_at >= (SELECT coalesce(b.fires_from, '-infinity') FROM span b)
             ORDER BY t.next_fire_at
             LIMIT 1) AS fire_at
), told AS (
    SELECT (SELECT min(e.follower) FROM scheduler.run_ends e) AS follower
     UNION ALL
    SELECT (SELECT min(e.follower) FROM scheduler.run_ends e WHERE e.follower > t.follower)
      FROM told t
     WHERE t.follower IS NOT NULL
)
SELECT b.now, n.fire_at AS next_fire_at, extract(epoch FROM n.fire_at - b.now)::float8 AS next_fire_in_seconds,
       b.fires_from IS NULL AS is_full,
       (SELECT pg_catalog.pg_stat_get_xact_tuples_returned('scheduler.triggers_due'::regclass)
          FROM (SELECT count(*) FROM next) AS done) - b.entries_before AS entries_count,
       EXISTS (SELECT FROM scheduler.workers w
                WHERE w.state IN ('active', 'draining')
                  AND (w.lease_expires_at <= b.now OR w.heartbeat_at > b.now))
       OR EXISTS (SELECT FROM scheduler.workers w
                   WHERE w.state IN ('stopped', 'lost')
                     AND NOT w.is_cleared) AS lost_workers,
       $1::float8 IS NOT NULL
       AND EXISTS (SELECT FROM scheduler.workers w
                    CROSS JOIN LATERAL (
                          SELECT l.hard_deadline_at
                            FROM scheduler.live_runs l
                           WHERE l.state = 'running'
                             AND l.worker_id = w.id
                             AND l.hard_deadline_at > coalesce($2::timestamptz, '-infinity')
                             AND l.hard_deadline_at <= b.now - make_interval(secs => $1)
                           ORDER BY l.hard_deadline_at
                           LIMIT 1) AS overdue
                    WHERE w.state IN ('active', 'draining')) AS overdue_attempts,
       ARRAY(SELECT f.follower FROM told f WHERE f.follower IS NOT NULL) AS ended_for,
       EXISTS (SELECT FROM scheduler.live_runs l WHERE l.followers IS NOT NULL) AS follows_live
  FROM span b
 CROSS JOIN next n
