-- Resumable reading of one subject's events, oldest first.
-- Only transactions below the snapshot's xmin are shown: all of them have ended, so an event that is committed late is
-- still ahead of every cursor that was given out.
-- $1 tenant_id or NULL (the service login: all), $2 and $3 txid and id to start behind, $4 types (empty: all),
-- $5 since or NULL, $6 limit, $7 subject.
-- CASE instead of OR keeps the planner from taking a filter that is not given for a narrow one, and sorting everything.
SELECT e.id, e.txid::text AS txid, e.tenant_id, e.at, e.type, e.subject, e.actor, e.data::text AS data
  FROM scheduler.events e
 WHERE e.subject <> '' AND e.subject = $7 AND ($1::text IS NULL OR e.tenant_id = $1)
   AND (e.txid, e.id) > ($2::text::xid8, $3::uuid)
   AND e.txid < (SELECT scheduler.all_ended_below())
   AND CASE WHEN cardinality($4::text[]) = 0 THEN true ELSE e.type = ANY ($4) END
   AND CASE WHEN $5::timestamptz IS NULL THEN true ELSE e.at >= $5 END
 ORDER BY e.txid, e.id
 LIMIT $6
