-- What runs already counts under a new limit of its queue ($1) or tenant ($2); in order, so that settlers do not deadlock.
-- A run that waits for its segments runs nowhere.
UPDATE scheduler.live_runs l
   SET is_limited = true
 WHERE l.ctid = ANY (ARRAY(
       SELECT v.place
         FROM (SELECT r.ctid AS place
                 FROM scheduler.live_runs r
                WHERE r.worker_id IS NOT NULL
                  AND r.worker_id <> 'ffffffff-ffff-ffff-ffff-ffffffffffff'
                  AND NOT r.is_limited
                  AND (r.queue = $1 OR r.tenant_id = $2)
                ORDER BY r.run_id
                  FOR UPDATE) AS v))
