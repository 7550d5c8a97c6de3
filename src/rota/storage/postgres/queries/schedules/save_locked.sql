-- The new version of a schedule whose row lock_schedule holds and whose version was compared.
-- $1 tenant_id, $2 the schedule as JSON. Its creation is not rewritten.
UPDATE scheduler.schedules s
   SET version = s.version + 1, name = g.name, enabled = g.enabled, needs_intervention = g.needs_intervention,
       intervention = g.intervention, cool_off_until = (g.intervention ->> 'cool_off_until')::timestamptz,
       description = g.description, labels = g.labels, target = g.target, policies = g.policies,
       paused_reason = g.paused_reason, updated_at = g.updated_at, updated_by = g.updated_by,
       deleted_at = g.deleted_at, deleted_by = g.deleted_by
  FROM json_to_record($2::text::json) AS g (
       id uuid, name text, enabled boolean, needs_intervention boolean, intervention jsonb, description text, labels jsonb, target json,
       policies json, paused_reason text, updated_at timestamptz, updated_by text, deleted_at timestamptz,
       deleted_by text)
 WHERE s.tenant_id = $1 AND s.id = g.id
