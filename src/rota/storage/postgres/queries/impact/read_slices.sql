-- The items of segments, with what their runs do: one row for each that is there.
-- service: a worker serves all tenants; a segment is read for its own tenant only.
SELECT g.n, p.target::text AS target,
       ARRAY(SELECT i.item FROM scheduler.impact_items i
              WHERE i.run_id = s.run_id
                AND i.planned_by = s.planned_by
                AND i.item BETWEEN c.first_item AND c.last_item
              ORDER BY i.run_id, i.planned_by, i.item) AS items
  FROM unnest($1::text[], $2::uuid[], $3::integer[]) WITH ORDINALITY AS g (tenant_id, run_id, segment_no, n)
 CROSS JOIN LATERAL (
       SELECT v.run_id, v.planned_by FROM scheduler.impact_snapshots v
        WHERE v.tenant_id = g.tenant_id
          AND v.run_id = g.run_id
       OFFSET 0) AS s
 CROSS JOIN LATERAL (
       SELECT v.first_item, v.last_item FROM scheduler.segments v
        WHERE v.run_id = s.run_id
          AND v.planned_by = s.planned_by
          AND v.segment_no = g.segment_no
       OFFSET 0) AS c
 CROSS JOIN LATERAL (
       SELECT v.target FROM scheduler.runs v WHERE v.tenant_id = g.tenant_id AND v.id = g.run_id OFFSET 0) AS p
