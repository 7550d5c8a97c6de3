-- A new calendar; no row where its name was taken meanwhile, or the tenant has as many as it may.
-- $1 tenant_id, $2 name, $3 days, $4 actor, $5 how many a tenant may have.
INSERT INTO scheduler.calendars (tenant_id, name, days, created_at, created_by, updated_at, updated_by)
SELECT $1, $2, $3::text::json, now.at, $4, now.at, $4
  FROM (SELECT scheduler.current_time() AS at) AS now
 WHERE (SELECT count(*) FROM scheduler.calendars c WHERE c.tenant_id = $1) < $5
    ON CONFLICT (tenant_id, name) DO NOTHING
RETURNING version
