-- Resumable reading of all tenants' and the platform's own events, oldest first.
-- Only transactions below the snapshot's xmin are shown: all of them have ended, so an event that is committed late is
-- still ahead of every cursor that was given out.
-- $1 and $2 txid and id to start behind, $3 types (empty: all), $4 subject or NULL, $5 since or NULL, $6 limit.
SELECT id, txid::text AS txid, tenant_id, at, type, subject, actor, data::text AS data
  FROM scheduler.events
 WHERE (txid, id) > ($1::text::xid8, $2::uuid)
   AND txid < pg_snapshot_xmin(pg_current_snapshot())
   AND (cardinality($3::text[]) = 0 OR type = ANY ($3))
   AND ($4::text IS NULL OR subject = $4)
   AND ($5::timestamptz IS NULL OR at >= $5)
 ORDER BY txid, id
 LIMIT $6
