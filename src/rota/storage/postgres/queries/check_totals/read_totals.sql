-- What the leaders' looks ever came to: one row.
SELECT t.since, t.reports_count, t.last_at, t.sums::text AS sums
  FROM scheduler.check_totals t
