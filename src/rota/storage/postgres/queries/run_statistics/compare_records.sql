-- The hours from $2 on that have records, oldest first: how many ended, and how many of them the statistics lack.
SELECT u.hour, count(*) AS found_count, count(*) FILTER (WHERE NOT u.is_counted) AS uncounted_count
  FROM scheduler.uncounted_runs($1, $2) AS u
 GROUP BY u.hour
 ORDER BY u.hour
