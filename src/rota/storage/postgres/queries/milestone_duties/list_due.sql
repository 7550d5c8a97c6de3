-- Milestones whose time has come, the longest due first. Each is judged again where it is tried.
-- service: the leader serves all tenants.
SELECT m.tenant_id, m.name, m.subject
  FROM scheduler.milestones m
 WHERE m.next_at <= (SELECT scheduler.current_time())
 ORDER BY m.next_at
 LIMIT $1
