-- What new evidence of a subject makes due, by the definitions of its kind.
INSERT INTO scheduler.milestones (tenant_id, subject, name, schedule_id, due_at, next_at)
SELECT d.tenant_id, $3, d.name, d.schedule_id, timing.due_at, timing.due_at
  FROM scheduler.milestone_definitions d
 CROSS JOIN LATERAL (SELECT $4::timestamptz + make_interval(secs => d.age_seconds) AS due_at) AS timing
 WHERE d.tenant_id = $1
   AND d.evidence = $2
    ON CONFLICT DO NOTHING
