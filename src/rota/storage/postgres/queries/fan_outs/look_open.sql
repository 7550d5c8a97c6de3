-- Tells the leader in one cheap statement what there is to do for runs that wait for their segments.
-- service: the leader serves all tenants.
SELECT EXISTS (SELECT FROM scheduler.fan_outs) AS has_open,
       EXISTS (SELECT FROM scheduler.fan_outs f WHERE f.stopped IS NOT NULL)
       OR EXISTS (SELECT FROM scheduler.fan_outs f
                   WHERE f.stopped IS NULL
                     AND f.deadline_at <= (SELECT scheduler.current_time()))
       OR EXISTS (SELECT FROM scheduler.live_runs l
                   WHERE l.worker_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
                     AND l.cancel_requested_at IS NOT NULL) AS must_stop,
       EXISTS (SELECT FROM scheduler.fan_outs f
                WHERE f.succeeded_count + f.failed_count + f.cancelled_count = f.segments_count) AS has_ended
