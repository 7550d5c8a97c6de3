-- A run's items in their order, behind $3; with how many there are.
SELECT i.item AS id, p.items_total AS total_count
  FROM scheduler.impact_snapshots p
  LEFT JOIN LATERAL (
       SELECT v.item FROM scheduler.impact_items v
        WHERE v.run_id = p.run_id
          AND v.planned_by = p.planned_by
          AND v.item > $3
        ORDER BY v.run_id, v.planned_by, v.item
        LIMIT $4
       OFFSET $5) AS i ON true
 WHERE p.tenant_id = $1
   AND p.run_id = $2
