-- Check-ins are paused and get new addresses (docs/check-ins.md); find_check_in knows an old address for as long as it is good.
-- While the previous version runs, a ping that it takes for a paused one makes it expect again: pause it once more then.
ALTER TABLE scheduler.check_ins
    ADD COLUMN IF NOT EXISTS paused_at timestamptz,
    ADD COLUMN IF NOT EXISTS old_token_hash bytea,
    ADD COLUMN IF NOT EXISTS old_token_until timestamptz;
CREATE UNIQUE INDEX IF NOT EXISTS check_ins_by_old_token ON scheduler.check_ins (old_token_hash) WHERE old_token_hash IS NOT NULL;

CREATE OR REPLACE FUNCTION scheduler.find_check_in(hash bytea) RETURNS TABLE (check_in_id uuid, tenant_id text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
    SELECT c.id, c.tenant_id
      FROM scheduler.check_ins c
      JOIN scheduler.tenants t ON t.id = c.tenant_id AND t.revoked_at IS NULL
     WHERE c.token_hash = hash
     UNION ALL
    SELECT c.id, c.tenant_id
      FROM scheduler.check_ins c
      JOIN scheduler.tenants t ON t.id = c.tenant_id AND t.revoked_at IS NULL
     WHERE c.old_token_hash = hash
       AND c.old_token_until > (SELECT scheduler.current_time())
    $$;
