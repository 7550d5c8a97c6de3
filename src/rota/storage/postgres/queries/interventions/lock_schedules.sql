-- Schedules that may stop, held in the order of their ids as every other who holds several; those that are deleted, or whose
-- tenant is revoked, are nobody's trouble. They are read after this.
-- service: the leader watches all tenants.
SELECT s.id::text AS id, s.tenant_id
  FROM scheduler.schedules s
 WHERE s.id = ANY ($1::uuid[])
   AND s.deleted_at IS NULL
   AND EXISTS (SELECT FROM scheduler.tenants t WHERE t.id = s.tenant_id AND t.revoked_at IS NULL)
 ORDER BY s.id
   FOR UPDATE OF s
