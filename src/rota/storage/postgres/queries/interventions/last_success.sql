-- When a run of a schedule succeeded last, of those made since an instant: walks back from its newest run, and stops at a
-- hundred successes or at five thousand runs, so that neither a long history nor many skipped fires make it dear.
-- $1 tenant_id, $2 schedule id, $3 the instant.
SELECT max(found.finished_at) AS last_success_at
  FROM (SELECT newest.finished_at
          FROM (SELECT r.state, r.finished_at
                  FROM scheduler.runs r
                 WHERE r.tenant_id = $1 AND r.schedule_id = $2 AND r.id >= scheduler.uuid7_floor($3)
                 ORDER BY r.id DESC
                 LIMIT 5000) AS newest
         WHERE newest.state = 'succeeded'
         LIMIT 100) AS found
