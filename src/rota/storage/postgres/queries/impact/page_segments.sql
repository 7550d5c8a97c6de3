-- A run's segments in their order, behind $3, each with the state of its child run; with how many there are.
SELECT s.segment_no AS id, p.segments_count AS total_count, s.items_count, s.first_item, s.last_item,
       s.child_run_id::text AS child_run_id, coalesce(r.state, nullif(s.state, 'open')) AS state
  FROM scheduler.impact_snapshots p
  LEFT JOIN LATERAL (
       SELECT * FROM scheduler.segments v
        WHERE v.run_id = p.run_id
          AND v.planned_by = p.planned_by
          AND v.segment_no > $3
        ORDER BY v.run_id, v.planned_by, v.segment_no
        LIMIT $4
       OFFSET $5) AS s ON true
  LEFT JOIN LATERAL (
       SELECT v.state FROM scheduler.run_records v WHERE v.tenant_id = $1 AND v.id = s.child_run_id OFFSET 0) AS r ON true
 WHERE p.tenant_id = $1
   AND p.run_id = $2
