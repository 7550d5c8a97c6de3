-- A revoked tenant's schedules stop. Also those that are paused already take a new version, so that no change which was
-- read before the revocation can start one again.
-- $1 tenant_id, $2 reason, $3 actor, $4 the time. Returns which of them were firing until now.
WITH before AS MATERIALIZED (
    SELECT id, enabled
      FROM scheduler.schedules
     WHERE tenant_id = $1 AND deleted_at IS NULL
     ORDER BY id
       FOR UPDATE
), paused AS (
    UPDATE scheduler.schedules s
       SET enabled = false, paused_reason = $2, version = s.version + 1, updated_at = $4, updated_by = $3
      FROM before b
     WHERE s.tenant_id = $1 AND s.id = b.id
)
SELECT id::text AS id FROM before WHERE enabled ORDER BY id
