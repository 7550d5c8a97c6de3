-- Notes of workers that have left that they hold nothing, so that no rescue looks at them again. Whoever claims for one of
-- them this instant holds its lock, and it is passed over; behind the lock, what such a claim took is seen.
WITH quiet AS MATERIALIZED (
    SELECT w.id
      FROM scheduler.workers w
     WHERE w.state IN ('stopped', 'lost')
       AND NOT w.is_cleared
     ORDER BY w.id
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), judged AS MATERIALIZED (
    SELECT q.id, scheduler.holds_runs(q.id) AS holds_runs FROM quiet q
), cleared AS (
    UPDATE scheduler.workers w
       SET is_cleared = true
      FROM judged j
     WHERE w.id = j.id
       AND NOT j.holds_runs
    RETURNING w.id
)
SELECT count(*) AS cleared_count FROM cleared
