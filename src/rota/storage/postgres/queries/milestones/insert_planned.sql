-- A milestone that is asked for before the walk of its definition came to its subject.
INSERT INTO scheduler.milestones (tenant_id, subject, name, schedule_id, due_at, next_at)
SELECT d.tenant_id, e.subject, d.name, d.schedule_id, timing.due_at, timing.due_at
  FROM scheduler.milestone_definitions d
  JOIN scheduler.evidence e ON e.tenant_id = $1 AND e.kind = d.evidence AND e.subject = $3
 CROSS JOIN LATERAL (SELECT e.occurred_at + make_interval(secs => d.age_seconds) AS due_at) AS timing
 WHERE d.tenant_id = $1
   AND d.name = $2
    ON CONFLICT DO NOTHING
