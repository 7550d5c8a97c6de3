-- The one row of totals, held while a report is added: reports of two leaders come one behind the other.
SELECT t.since, t.reports_count, t.last_at, t.sums::text AS sums
  FROM scheduler.check_totals t
   FOR UPDATE
