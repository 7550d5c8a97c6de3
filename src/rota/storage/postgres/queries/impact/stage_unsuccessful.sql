-- Puts the items of another run's segments that did not succeed beside those of a planning attempt: of $6 segments behind $5.
-- Says how many segments these were and which was the last.
WITH failed AS MATERIALIZED (
    SELECT s.run_id, s.planned_by, s.segment_no, s.first_item, s.last_item
      FROM scheduler.impact_snapshots p
     CROSS JOIN LATERAL (
           SELECT * FROM scheduler.segments v
            WHERE v.run_id = p.run_id
              AND v.planned_by = p.planned_by
              AND v.segment_no > $5
              AND v.state IS DISTINCT FROM 'succeeded'
            ORDER BY v.run_id, v.planned_by, v.segment_no
            LIMIT $6) AS s
     WHERE p.tenant_id = $1
       AND p.run_id = $4
), staged AS (
    INSERT INTO scheduler.impact_items (run_id, planned_by, item, tenant_id)
    SELECT $2, $3, i.item, $1
      FROM failed f
     CROSS JOIN LATERAL (
           SELECT v.item FROM scheduler.impact_items v
            WHERE v.run_id = f.run_id
              AND v.planned_by = f.planned_by
              AND v.item BETWEEN f.first_item AND f.last_item
           OFFSET 0) AS i
        ON CONFLICT DO NOTHING
)
SELECT count(*) AS segments_count, max(f.segment_no) AS last_no FROM failed f
