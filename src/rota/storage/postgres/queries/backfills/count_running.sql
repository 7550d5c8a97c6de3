-- What the bound on a tenant's running backfills is compared with; there are few.
SELECT count(*) FROM scheduler.backfills WHERE tenant_id = $1 AND state = 'running'
