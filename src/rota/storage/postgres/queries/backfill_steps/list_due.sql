-- Backfills with more to do, with their schedules and how many of the runs of those are live, up to $2.
-- service: the leader serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
)
SELECT c.now, b.*, s.version, s.policies::text AS policies, n.live_count,
       EXISTS (SELECT FROM scheduler.platform_flags p WHERE p.name = 'firing' AND NOT p.enabled)
       OR EXISTS (SELECT FROM scheduler.flags f
                   WHERE f.name = 'firing' AND f.tenant_id = b.tenant_id AND NOT f.enabled) AS is_withheld
  FROM clock c
 CROSS JOIN LATERAL (
       SELECT id::text AS id, tenant_id, schedule_id::text AS schedule_id, state, since, until, overlap, priority, runs_per_minute_max,
       triggers::text AS triggers, times_count, created_at, created_by, paced_at, resume_at, created_count, skipped_count,
       steps_count, done_through, done_place, reason, ended_at
         FROM scheduler.backfills
        WHERE resume_at <= c.now
        ORDER BY scheduler.backfills.resume_at
        LIMIT $1) AS b
  LEFT JOIN LATERAL (
       SELECT d.version, d.policies
         FROM scheduler.schedules d
         JOIN scheduler.tenants t ON t.id = d.tenant_id AND t.revoked_at IS NULL
        WHERE d.id = b.schedule_id::uuid
          AND d.deleted_at IS NULL
       OFFSET 0) AS s ON true
 CROSS JOIN LATERAL (
       SELECT count(*) AS live_count
         FROM (SELECT FROM scheduler.live_runs v WHERE v.schedule_id = b.schedule_id::uuid LIMIT $2) AS l) AS n
