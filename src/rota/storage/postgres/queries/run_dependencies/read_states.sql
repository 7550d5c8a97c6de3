-- What the records of a tenant's runs say of their state; of live ones, that they are queued.
SELECT r.id::text AS run_id, r.state
  FROM scheduler.runs r
 WHERE r.tenant_id = $1
   AND r.id = ANY ($2::uuid[])
