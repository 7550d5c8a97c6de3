-- Workers as operators see them: live ones first, then the latest to leave.
-- service: a worker serves all tenants.
SELECT w.id::text AS id, w.name, w.state, w.queues, w.slots, w.tasks, w.hostname, w.pid, w.version, w.started_at,
       w.heartbeat_at, w.lease_expires_at,
       (SELECT count(*) FROM scheduler.live_runs l WHERE l.worker_id = w.id AND l.state = 'running') AS running_count
  FROM scheduler.workers w
 ORDER BY w.state IN ('active', 'draining') DESC, w.heartbeat_at DESC, w.id
 LIMIT $1
