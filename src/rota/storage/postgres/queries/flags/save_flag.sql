-- A tenant's switch, as somebody set it last.
INSERT INTO scheduler.flags AS f (tenant_id, name, enabled, reason, changed_at, changed_by)
VALUES ($1, $2, $3, $4, scheduler.current_time(), $5)
    ON CONFLICT (tenant_id, name) DO UPDATE
       SET enabled = excluded.enabled,
           reason = excluded.reason,
           changed_at = excluded.changed_at,
           changed_by = excluded.changed_by
RETURNING f.name, f.tenant_id, f.enabled, f.reason, f.changed_at, f.changed_by
