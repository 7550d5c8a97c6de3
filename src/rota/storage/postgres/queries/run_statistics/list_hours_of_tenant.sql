-- The hours of a tenant from $2 on, oldest first, with what is not added up yet; rows of one hour are to be added together.
SELECT s.hour, s.succeeded_count, s.failed_count, s.cancelled_count, s.skipped_count, s.late_starts_count, s.waits_count,
       s.wait_ms_sum, s.wait_ms_max, s.duration_ms_sum, s.duration_ms_max, s.duration_counts
  FROM scheduler.run_summaries s
 WHERE s.tenant_id = $1
   AND s.schedule_id IS NULL
   AND s.hour_id >= scheduler.uuid7_floor($2::timestamptz)
 UNION ALL
SELECT s.hour, s.succeeded_count, s.failed_count, s.cancelled_count, s.skipped_count, s.late_starts_count, s.waits_count,
       s.wait_ms_sum, s.wait_ms_max, s.duration_ms_sum, s.duration_ms_max, s.duration_counts
  FROM (SELECT array_agg(d) AS deltas FROM scheduler.run_deltas d WHERE d.tenant_id = $1 AND d.ended_at >= $2) AS a
 CROSS JOIN LATERAL scheduler.sums_of_deltas(a.deltas) AS s
 WHERE s.schedule_id IS NULL
 ORDER BY 1
