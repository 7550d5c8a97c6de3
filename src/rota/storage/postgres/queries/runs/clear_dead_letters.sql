-- Takes runs off the dead letters, in the transaction that stores their clones.
UPDATE scheduler.runs r
   SET dead_lettered = false
 WHERE r.tenant_id = $1
   AND r.id = ANY ($2::uuid[])
   AND r.dead_lettered
