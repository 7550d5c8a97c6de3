-- What all tenants ever ran, tenant by tenant added up, with what is not added up yet.
-- service: the platform's own figures are of all tenants.
SELECT t.since, t.succeeded_count, t.failed_count, t.cancelled_count, t.skipped_count, t.late_starts_count, t.waits_count,
       t.wait_ms_sum, t.wait_ms_max, t.duration_ms_sum, t.duration_ms_max, t.duration_counts
  FROM scheduler.run_totals t
 UNION ALL
SELECT s.hour, s.succeeded_count, s.failed_count, s.cancelled_count, s.skipped_count, s.late_starts_count, s.waits_count,
       s.wait_ms_sum, s.wait_ms_max, s.duration_ms_sum, s.duration_ms_max, s.duration_counts
  FROM (SELECT array_agg(d) AS deltas FROM scheduler.run_deltas d) AS a
 CROSS JOIN LATERAL scheduler.sums_of_deltas(a.deltas) AS s
 WHERE s.schedule_id IS NULL
