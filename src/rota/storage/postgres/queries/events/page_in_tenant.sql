-- The history of a tenant's events, the newest first, as far as it is committed.
-- $1 tenant_id, $2 and $3 txid and id to start before, $4 types (empty: all), $5 since or NULL,
-- $6 limit, $7 offset. An empty page is one row without an id.
-- CASE instead of OR keeps the planner from taking a filter that is not given for a narrow one, and sorting everything.
WITH total AS (
    SELECT count(*) AS total_count
      FROM scheduler.events e
     WHERE e.tenant_id = $1
       AND CASE WHEN cardinality($4::text[]) = 0 THEN true ELSE e.type = ANY ($4) END
       AND CASE WHEN $5::timestamptz IS NULL THEN true ELSE e.at >= $5 END
), listed AS (
    SELECT e.id, e.txid, e.tenant_id, e.at, e.type, e.subject, e.actor, e.data
      FROM scheduler.events e
     WHERE e.tenant_id = $1 AND (e.txid, e.id) < ($2::text::xid8, $3::uuid)
       AND CASE WHEN cardinality($4::text[]) = 0 THEN true ELSE e.type = ANY ($4) END
       AND CASE WHEN $5::timestamptz IS NULL THEN true ELSE e.at >= $5 END
     ORDER BY e.txid DESC, e.id DESC
     LIMIT $6 OFFSET $7
)
SELECT total.total_count, l.id, l.txid::text AS txid, l.tenant_id, l.at, l.type, l.subject, l.actor,
       l.data::text AS data
  FROM total
  LEFT JOIN listed l ON true
 ORDER BY l.txid DESC, l.id DESC
