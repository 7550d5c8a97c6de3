-- The totals with one more report in them; the row is held by the caller. $1 reports_count, $2 sums.
UPDATE scheduler.check_totals t
   SET reports_count = $1,
       sums = $2::text::jsonb,
       last_at = greatest(t.last_at, (SELECT scheduler.current_time()))
RETURNING t.since, t.reports_count, t.last_at, t.sums::text AS sums
