-- One fact as it was recorded.
SELECT tenant_id, kind, subject, occurred_at, recorded_at, recorded_by
  FROM scheduler.evidence
 WHERE tenant_id = $1 AND kind = $2 AND subject = $3
