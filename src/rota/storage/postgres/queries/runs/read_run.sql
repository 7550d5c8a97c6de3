-- The whole of one run as its tenant sees it, live or ended. While it waits for its next try, its error is the last one's.
SELECT r.id::text AS id, r.tenant_id, r.schedule_id::text AS schedule_id, r.trigger_id::text AS trigger_id,
       r.schedule_version, r.fire_at, r.due_at, r.state, r.reason, r.queue, r.priority, r.target, r.policy,
       r.attempts_count, r.created_at, r.started_at, r.finished_at, r.worker_id::text AS worker_id,
       r.cancel_requested_at, r.result,
       CASE WHEN r.state IN ('queued', 'scheduled') AND r.attempts_count > 0 THEN
            (SELECT a.error
               FROM scheduler.attempts a
              WHERE a.tenant_id = $1
                AND a.run_id = $2
              ORDER BY a.attempt_no DESC
              LIMIT 1)
            ELSE r.error END AS error,
       r.dead_lettered, r.retry_of::text AS retry_of, r.idempotency_key,
       r.created_by
  FROM scheduler.run_records r
 WHERE r.tenant_id = $1
   AND r.id = $2
