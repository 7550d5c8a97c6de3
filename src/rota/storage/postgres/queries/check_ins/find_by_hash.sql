-- Whose an address is, by the hash of its secret: a look-up across tenants, made by a function that runs as the owner.
SELECT check_in_id, tenant_id FROM scheduler.find_check_in($1)
