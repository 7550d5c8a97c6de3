-- Takes up to $1 deltas off and adds them to the totals and to the hours, in one transaction: each is counted once. The leader
-- counts for all tenants. Totals come first and each in their order, so that two that do so at once wait and do not deadlock.
WITH taken AS MATERIALIZED (
    DELETE FROM scheduler.run_deltas d
     WHERE d.ctid = ANY (ARRAY(SELECT t.ctid FROM scheduler.run_deltas t LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING d
), sums AS MATERIALIZED (
    SELECT s.*
      FROM (SELECT array_agg(t.d) AS deltas FROM taken t) AS a
     CROSS JOIN LATERAL scheduler.sums_of_deltas(a.deltas) AS s
), totals AS (
    INSERT INTO scheduler.run_totals AS t
           (tenant_id, since, succeeded_count, failed_count, cancelled_count, skipped_count, late_starts_count, waits_count,
            wait_ms_sum, wait_ms_max, duration_ms_sum, duration_ms_max, duration_counts)
    SELECT s.tenant_id, min(s.hour), sum(s.succeeded_count), sum(s.failed_count), sum(s.cancelled_count), sum(s.skipped_count),
           sum(s.late_starts_count), sum(s.waits_count), sum(s.wait_ms_sum), max(s.wait_ms_max), sum(s.duration_ms_sum),
           max(s.duration_ms_max),
           ARRAY[sum(s.duration_counts[1]), sum(s.duration_counts[2]), sum(s.duration_counts[3]), sum(s.duration_counts[4]),
                 sum(s.duration_counts[5]), sum(s.duration_counts[6]), sum(s.duration_counts[7]), sum(s.duration_counts[8]),
                 sum(s.duration_counts[9]), sum(s.duration_counts[10]), sum(s.duration_counts[11]),
                 sum(s.duration_counts[12]), sum(s.duration_counts[13]), sum(s.duration_counts[14]),
                 sum(s.duration_counts[15]), sum(s.duration_counts[16])]
      FROM sums s
     WHERE s.schedule_id IS NULL
     GROUP BY s.tenant_id
     ORDER BY s.tenant_id
        ON CONFLICT (tenant_id) DO UPDATE
       SET since = least(t.since, excluded.since),
           succeeded_count = t.succeeded_count + excluded.succeeded_count,
           failed_count = t.failed_count + excluded.failed_count,
           cancelled_count = t.cancelled_count + excluded.cancelled_count,
           skipped_count = t.skipped_count + excluded.skipped_count,
           late_starts_count = t.late_starts_count + excluded.late_starts_count,
           waits_count = t.waits_count + excluded.waits_count,
           wait_ms_sum = t.wait_ms_sum + excluded.wait_ms_sum,
           wait_ms_max = greatest(t.wait_ms_max, excluded.wait_ms_max),
           duration_ms_sum = t.duration_ms_sum + excluded.duration_ms_sum,
           duration_ms_max = greatest(t.duration_ms_max, excluded.duration_ms_max),
           duration_counts = scheduler.add_counts(t.duration_counts, excluded.duration_counts)
    RETURNING 1
), hours AS (
    INSERT INTO scheduler.run_summaries AS h
           (hour_id, hour, tenant_id, schedule_id, succeeded_count, failed_count, cancelled_count, skipped_count,
            late_starts_count, waits_count, wait_ms_sum, wait_ms_max, duration_ms_sum, duration_ms_max, duration_counts)
    SELECT scheduler.uuid7_floor(s.hour), s.hour, s.tenant_id, s.schedule_id, s.succeeded_count, s.failed_count,
           s.cancelled_count, s.skipped_count, s.late_starts_count, s.waits_count, s.wait_ms_sum, s.wait_ms_max,
           s.duration_ms_sum, s.duration_ms_max, s.duration_counts
      FROM sums s
     CROSS JOIN (SELECT count(*) AS n FROM totals) AS after
     WHERE after.n > 0
     ORDER BY s.tenant_id, s.schedule_id, s.hour
        ON CONFLICT (tenant_id, schedule_id, hour_id) DO UPDATE
       SET succeeded_count = h.succeeded_count + excluded.succeeded_count,
           failed_count = h.failed_count + excluded.failed_count,
           cancelled_count = h.cancelled_count + excluded.cancelled_count,
           skipped_count = h.skipped_count + excluded.skipped_count,
           late_starts_count = h.late_starts_count + excluded.late_starts_count,
           waits_count = h.waits_count + excluded.waits_count,
           wait_ms_sum = h.wait_ms_sum + excluded.wait_ms_sum,
           wait_ms_max = greatest(h.wait_ms_max, excluded.wait_ms_max),
           duration_ms_sum = h.duration_ms_sum + excluded.duration_ms_sum,
           duration_ms_max = greatest(h.duration_ms_max, excluded.duration_ms_max),
           duration_counts = scheduler.add_counts(h.duration_counts, excluded.duration_counts)
)
SELECT count(*) AS taken_count FROM taken
