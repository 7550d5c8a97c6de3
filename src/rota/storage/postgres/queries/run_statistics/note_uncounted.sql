-- Leaves the runs from $2 on that the statistics lack to be counted, as the statement would have done that ended them; answers
-- as compare_records does, of what it saw.
WITH found AS MATERIALIZED (
    SELECT u.* FROM scheduler.uncounted_runs($1, $2) AS u
), noted AS (
    INSERT INTO scheduler.run_deltas (tenant_id, ended_at, schedule_ids, states, durations_ms, waits_ms)
    SELECT $1, f.hour, array_agg(f.schedule_id), string_agg(f.letter, ''), array_agg(f.duration_ms), array_agg(f.wait_ms)
      FROM found f
     WHERE NOT f.is_counted
     GROUP BY f.hour
)
SELECT f.hour, count(*) AS found_count, count(*) FILTER (WHERE NOT f.is_counted) AS uncounted_count
  FROM found f
 GROUP BY f.hour
 ORDER BY f.hour
