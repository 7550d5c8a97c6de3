-- The history of all tenants' and the platform's own events, the newest first, as far as it is committed.
-- $1 and $2 txid and id to start before, $3 types (empty: all), $4 subject or NULL, $5 since or NULL,
-- $6 limit, $7 offset. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count
      FROM scheduler.events
     WHERE (cardinality($3::text[]) = 0 OR type = ANY ($3))
       AND ($4::text IS NULL OR subject = $4)
       AND ($5::timestamptz IS NULL OR at >= $5)
), listed AS (
    SELECT id, txid, tenant_id, at, type, subject, actor, data
      FROM scheduler.events
     WHERE (txid, id) < ($1::text::xid8, $2::uuid)
       AND (cardinality($3::text[]) = 0 OR type = ANY ($3))
       AND ($4::text IS NULL OR subject = $4)
       AND ($5::timestamptz IS NULL OR at >= $5)
     ORDER BY txid DESC, id DESC
     LIMIT $6 OFFSET $7
)
SELECT total.total_count, e.id, e.txid::text AS txid, e.tenant_id, e.at, e.type, e.subject, e.actor,
       e.data::text AS data
  FROM total
  LEFT JOIN listed e ON true
 ORDER BY e.txid DESC, e.id DESC
