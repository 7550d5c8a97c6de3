-- What is to be known beside the milestone that lock_milestone holds.
SELECT scheduler.current_time() AS now,
       d.name, d.schedule_id::text AS schedule_id, d.trigger_id::text AS trigger_id, d.evidence, d.age_seconds,
       d.window_seconds, d.on_missed, s.version, s.enabled, s.target::text AS target, s.policies::text AS policies,
       e.occurred_at, e.recorded_at, e.recorded_by, k.name IS NOT NULL AS is_done
  FROM (SELECT $2::text AS name) AS asked
  LEFT JOIN scheduler.milestone_definitions d ON d.tenant_id = $1 AND d.name = asked.name
  LEFT JOIN scheduler.schedules s ON s.tenant_id = $1 AND s.id = d.schedule_id AND s.deleted_at IS NULL
  LEFT JOIN scheduler.evidence e ON e.tenant_id = $1 AND e.kind = d.evidence AND e.subject = $3
  LEFT JOIN scheduler.done_markers k ON k.tenant_id = $1 AND k.name = asked.name AND k.subject = $3
