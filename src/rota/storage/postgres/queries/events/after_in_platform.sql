-- Resumable reading of all tenants' and the platform's own events, oldest first.
-- service: a platform_admin follows all tenants and the platform
-- Only transactions below the snapshot's xmin are shown: all of them have ended, so an event that is committed late is
-- still ahead of every cursor that was given out.
-- $1 and $2 txid and id to start behind, $3 types (empty: all), $4 since or NULL, $5 limit.
-- CASE instead of OR keeps the planner from taking a filter that is not given for a narrow one, and sorting everything.
SELECT e.id, e.txid::text AS txid, e.tenant_id, e.at, e.type, e.subject, e.actor, e.data::text AS data
  FROM scheduler.events e
 WHERE (e.txid, e.id) > ($1::text::xid8, $2::uuid)
   AND e.txid < (SELECT scheduler.all_ended_below())
   AND CASE WHEN cardinality($3::text[]) = 0 THEN true ELSE e.type = ANY ($3) END
   AND CASE WHEN $4::timestamptz IS NULL THEN true ELSE e.at >= $4 END
 ORDER BY e.txid, e.id
 LIMIT $5
