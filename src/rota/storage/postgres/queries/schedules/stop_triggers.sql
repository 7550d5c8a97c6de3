-- A revoked tenant's triggers have nothing to come. After pause_all, so that triggers saved meanwhile are seen.
-- $1 tenant_id.
UPDATE scheduler.triggers SET next_fire_at = NULL WHERE tenant_id = $1 AND next_fire_at IS NOT NULL
