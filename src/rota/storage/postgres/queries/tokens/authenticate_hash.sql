-- Who calls, by the hash of the secret: the one look-up across tenants, made by a function that runs as the owner.
SELECT token_id, name, tenant_id, role FROM scheduler.authenticate($1)
