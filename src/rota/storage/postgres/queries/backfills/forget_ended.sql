-- Keeps the newest $2 of a tenant's backfills, and those that are running.
DELETE FROM scheduler.backfills b
 WHERE b.tenant_id = $1
   AND b.state <> 'running'
   AND b.id <= (SELECT k.id FROM scheduler.backfills k WHERE k.tenant_id = $1 ORDER BY k.id DESC OFFSET $2 LIMIT 1)
