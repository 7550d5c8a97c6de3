-- Tells the leader in one cheap statement what there is to do for runs that wait for a callback.
-- service: the leader serves all tenants.
SELECT EXISTS (SELECT FROM scheduler.callbacks c WHERE c.waiting_token IS NOT NULL AND c.ended_at IS NULL) AS has_waiting,
       EXISTS (SELECT FROM scheduler.callbacks c WHERE c.answered_at IS NOT NULL AND c.ended_at IS NULL)
       OR EXISTS (SELECT FROM scheduler.callbacks c
                   WHERE c.waiting_token IS NOT NULL
                     AND c.ended_at IS NULL
                     AND c.deadline_at <= (SELECT scheduler.current_time()))
       OR EXISTS (SELECT FROM scheduler.live_runs l
                    JOIN scheduler.callbacks c ON c.run_id = l.run_id AND c.waiting_token = l.attempt_token AND c.ended_at IS NULL
                   WHERE l.worker_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
                     AND l.cancel_requested_at IS NOT NULL) AS has_ended,
       EXISTS (SELECT FROM scheduler.callbacks c
                WHERE (c.waiting_token IS NULL OR c.ended_at IS NOT NULL)
                  AND c.keep_until <= (SELECT scheduler.current_time())) AS has_aged
