-- What the bound on a tenant's check-ins is compared with; it is small enough to be counted.
SELECT count(*) FROM scheduler.check_ins WHERE tenant_id = $1
