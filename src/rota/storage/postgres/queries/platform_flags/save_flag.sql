-- The platform's switch, as somebody set it last.
INSERT INTO scheduler.platform_flags AS f (name, enabled, reason, changed_at, changed_by)
VALUES ($1, $2, $3, scheduler.current_time(), $4)
    ON CONFLICT (name) DO UPDATE
       SET enabled = excluded.enabled,
           reason = excluded.reason,
           changed_at = excluded.changed_at,
           changed_by = excluded.changed_by
RETURNING f.name, NULL AS tenant_id, f.enabled, f.reason, f.changed_at, f.changed_by
