-- What the bound on a tenant's templates is compared with; it is small enough to be counted.
SELECT count(*) FROM scheduler.schedule_templates WHERE tenant_id = $1
