-- The history of a tenant's events, the newest first, as far as it is committed.
-- $1 tenant_id, $2 and $3 txid and id to start before, $4 types (empty: all), $5 subject or NULL, $6 since or NULL,
-- $7 limit, $8 offset. An empty page is one row without an id.
WITH total AS (
    SELECT count(*) AS total_count
      FROM scheduler.events
     WHERE tenant_id = $1 AND (cardinality($4::text[]) = 0 OR type = ANY ($4))
       AND ($5::text IS NULL OR subject = $5)
       AND ($6::timestamptz IS NULL OR at >= $6)
), listed AS (
    SELECT id, txid, tenant_id, at, type, subject, actor, data
      FROM scheduler.events
     WHERE tenant_id = $1 AND (txid, id) < ($2::text::xid8, $3::uuid)
       AND (cardinality($4::text[]) = 0 OR type = ANY ($4))
       AND ($5::text IS NULL OR subject = $5)
       AND ($6::timestamptz IS NULL OR at >= $6)
     ORDER BY txid DESC, id DESC
     LIMIT $7 OFFSET $8
)
SELECT total.total_count, e.id, e.txid::text AS txid, e.tenant_id, e.at, e.type, e.subject, e.actor,
       e.data::text AS data
  FROM total
  LEFT JOIN listed e ON true
 ORDER BY e.txid DESC, e.id DESC
