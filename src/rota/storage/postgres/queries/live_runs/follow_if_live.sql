-- Adds a follower to runs of a tenant that are live, and answers which these are. One that has ended meanwhile is not among
-- them: its record says how it ended. Rows are visited in the order of their ids, so that two callers do not deadlock.
WITH held AS MATERIALIZED (
    SELECT l.place
      FROM (SELECT DISTINCT u.run_id FROM unnest($2::uuid[]) AS u (run_id) ORDER BY u.run_id) AS g
     CROSS JOIN LATERAL (
           SELECT v.ctid AS place FROM scheduler.live_runs v
            WHERE (v.state = 'queued' AND v.tenant_id = $1 AND v.run_id = g.run_id)
               OR (v.worker_id IS NOT NULL AND v.tenant_id = $1 AND v.run_id = g.run_id)
              FOR UPDATE) AS l
)
UPDATE scheduler.live_runs l
   SET followers = CASE WHEN $3::text = ANY (l.followers) THEN l.followers ELSE l.followers || $3::text END
 WHERE l.ctid = ANY (ARRAY(SELECT h.place FROM held h))
RETURNING l.run_id::text AS run_id
