-- What a worker holds by the store's word, earliest deadline first: a claim whose answer was lost is held by one who does
-- not know. It waits for nobody, so a claim that still is under way is found by a later look.
-- service: a worker serves all tenants.
SELECT l.run_id::text AS run_id, l.attempt_token, l.queue
  FROM scheduler.live_runs l
 WHERE l.worker_id = $1
   AND l.state = 'running'
 ORDER BY l.hard_deadline_at, l.run_id
 LIMIT $2
