-- What a run covers and how far it has come: its segments by state, those that are open by that of their child run.
SELECT p.run_id::text AS run_id, p.tenant_id, p.selector, p.items_total, p.segments_count, p.segment_size, p.planned_at, c.*
  FROM scheduler.impact_snapshots p
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE s.state = 'succeeded') AS succeeded,
              count(*) FILTER (WHERE s.state = 'failed') AS failed,
              count(*) FILTER (WHERE s.state = 'cancelled') AS cancelled,
              count(*) FILTER (WHERE s.state = 'open') AS open,
              count(*) FILTER (WHERE s.state = 'open'
                               AND EXISTS (SELECT FROM scheduler.live_runs l
                                            WHERE l.tenant_id = $1
                                              AND l.run_id = s.child_run_id
                                              AND l.worker_id IS NOT NULL)) AS running
         FROM scheduler.segments s
        WHERE s.run_id = p.run_id
          AND s.planned_by = p.planned_by) AS c
 WHERE p.tenant_id = $1
   AND p.run_id = $2
