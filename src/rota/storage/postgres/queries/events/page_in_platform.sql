-- The history of all tenants' and the platform's own events, the newest first, as far as it is committed.
-- service: a platform_admin reads the history of all tenants and the platform
-- $1 and $2 txid and id to start before, $3 types (empty: all), $4 since or NULL,
-- $5 limit, $6 offset. An empty page is one row without an id.
-- CASE instead of OR keeps the planner from taking a filter that is not given for a narrow one, and sorting everything.
WITH total AS (
    SELECT count(*) AS total_count
      FROM scheduler.events e
     WHERE CASE WHEN cardinality($3::text[]) = 0 THEN true ELSE e.type = ANY ($3) END
       AND CASE WHEN $4::timestamptz IS NULL THEN true ELSE e.at >= $4 END
), listed AS (
    SELECT e.id, e.txid, e.tenant_id, e.at, e.type, e.subject, e.actor, e.data
      FROM scheduler.events e
     WHERE (e.txid, e.id) < ($1::text::xid8, $2::uuid)
       AND CASE WHEN cardinality($3::text[]) = 0 THEN true ELSE e.type = ANY ($3) END
       AND CASE WHEN $4::timestamptz IS NULL THEN true ELSE e.at >= $4 END
     ORDER BY e.txid DESC, e.id DESC
     LIMIT $5 OFFSET $6
)
SELECT total.total_count, l.id, l.txid::text AS txid, l.tenant_id, l.at, l.type, l.subject, l.actor,
       l.data::text AS data
  FROM total
  LEFT JOIN listed l ON true
 ORDER BY l.txid DESC, l.id DESC
