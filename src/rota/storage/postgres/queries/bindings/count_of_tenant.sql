-- What the bound on a tenant's bindings is compared with: read from the key's index, when one is made.
SELECT count(*) FROM scheduler.bindings WHERE tenant_id = $1
