-- How all of a tenant's milestones stand with one subject; one row with the time alone where it defines none.
SELECT scheduler.current_time() AS now,
       d.name, d.schedule_id::text AS schedule_id, d.trigger_id::text AS trigger_id, d.evidence, d.age_seconds,
       d.window_seconds, d.on_missed, s.version, s.enabled, s.target::text AS target, s.policies::text AS policies,
       e.occurred_at, e.recorded_at, e.recorded_by, k.name IS NOT NULL AS is_done,
       m.state, m.due_at, m.next_at, m.attempts_count, m.attempts_total, m.retry_delay_seconds, m.backoff_until,
       m.last_attempt_at, m.last_run_at, m.generated_at, m.last_error, m.run_id::text AS run_id, m.held_since
  FROM (SELECT) AS asked
  LEFT JOIN scheduler.milestone_definitions d ON d.tenant_id = $1
  LEFT JOIN scheduler.schedules s ON s.tenant_id = $1 AND s.id = d.schedule_id AND s.deleted_at IS NULL
  LEFT JOIN scheduler.evidence e ON e.tenant_id = $1 AND e.kind = d.evidence AND e.subject = $2
  LEFT JOIN scheduler.done_markers k ON k.tenant_id = $1 AND k.name = d.name AND k.subject = $2
  LEFT JOIN scheduler.milestones m ON m.tenant_id = $1 AND m.name = d.name AND m.subject = $2
 ORDER BY d.age_seconds, d.name
