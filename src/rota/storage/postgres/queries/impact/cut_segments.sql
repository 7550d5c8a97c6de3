-- Cuts the next segments of what an attempt has found, behind those that it cut before: $4 items each at most and $5 bytes,
-- up to $6 segments. Says how many segments there are now, and how many were cut.
WITH RECURSIVE last AS MATERIALIZED (
    SELECT coalesce(max(s.segment_no), 0) AS segment_no, max(s.last_item) AS last_item
      FROM (SELECT v.segment_no, v.last_item FROM scheduler.segments v
             WHERE v.run_id = $2
               AND v.planned_by = $3
             ORDER BY v.run_id DESC, v.planned_by DESC, v.segment_no DESC
             LIMIT 1) AS s
), cut AS (
    SELECT l.segment_no, l.last_item, NULL::text COLLATE "C" AS first_item, 0::bigint AS items_count, 0 AS n FROM last l
     UNION ALL
    SELECT c.segment_no + 1, next.last_item, next.first_item, next.items_count, c.n + 1
      FROM cut c
     CROSS JOIN LATERAL (
           SELECT min(fit.item) AS first_item, max(fit.item) AS last_item, count(*) AS items_count
             FROM (SELECT v.item, sum(octet_length(v.item) + 1) OVER (ORDER BY v.item) AS bytes
                     FROM (SELECT i.item FROM scheduler.impact_items i
                            WHERE i.run_id = $2
                              AND i.planned_by = $3
                              AND i.item > coalesce(c.last_item, '')
                            ORDER BY i.run_id, i.planned_by, i.item
                            LIMIT $4) AS v) AS fit
            WHERE fit.bytes <= $5
           HAVING count(*) > 0) AS next
     WHERE c.n < $6
), kept AS (
    INSERT INTO scheduler.segments (run_id, planned_by, segment_no, items_count, tenant_id, first_item, last_item)
    SELECT $2, $3, c.segment_no, c.items_count, $1, c.first_item, c.last_item
      FROM cut c
     WHERE c.n > 0
)
SELECT max(c.segment_no) AS segments_count, max(c.n) AS cut_count FROM cut c
