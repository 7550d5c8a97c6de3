-- How long the leader may sleep: one look at the end of an index, whatever the number of check-ins. That of a revoked tenant is
-- passed over.
-- service: the leader watches all tenants.
SELECT extract(epoch FROM c.deadline_at - (SELECT scheduler.current_time()))::float8 AS in_seconds
  FROM scheduler.check_ins c
  JOIN scheduler.tenants t ON t.id = c.tenant_id AND t.revoked_at IS NULL
 WHERE c.deadline_at IS NOT NULL
 ORDER BY c.deadline_at
 LIMIT 1
