-- Resumable reading of a tenant's events, oldest first.
-- Only transactions below the snapshot's xmin are shown: all of them have ended, so an event that is committed late is
-- still ahead of every cursor that was given out.
-- $1 tenant_id, $2 and $3 txid and id to start behind, $4 types (empty: all), $5 subject or NULL, $6 since or NULL,
-- $7 limit.
SELECT id, txid::text AS txid, tenant_id, at, type, subject, actor, data::text AS data
  FROM scheduler.events
 WHERE tenant_id = $1 AND (txid, id) > ($2::text::xid8, $3::uuid)
   AND txid < pg_snapshot_xmin(pg_current_snapshot())
   AND (cardinality($4::text[]) = 0 OR type = ANY ($4))
   AND ($5::text IS NULL OR subject = $5)
   AND ($6::timestamptz IS NULL OR at >= $6)
 ORDER BY txid, id
 LIMIT $7
