-- Triggers whose time has come, the longest due first, with all that deciding needs: also whether the flag firing is off
-- for them, read once in the snapshot that they are read in. Live counts stop at 1,000.
-- $1 how many, $2 and $3 next_fire_at and id of the trigger to start behind, or NULL. The columns' order is the reader's.
-- service: the leader serves all tenants.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now,
           EXISTS (SELECT FROM scheduler.platform_flags p WHERE p.name = 'firing' AND NOT p.enabled) AS is_off,
           ARRAY(SELECT f.tenant_id FROM scheduler.flags f WHERE f.name = 'firing' AND NOT f.enabled) AS tenants_off
)
SELECT c.now, d.*, n.queued_count, n.running_count, c.is_off OR d.tenant_id = ANY (c.tenants_off) AS is_withheld
  FROM clock c
  LEFT JOIN LATERAL (
       SELECT t.id::text AS trigger_id, t.tenant_id, t.schedule_id::text AS schedule_id, t.spec::text AS spec,
              t.anchor_at, t.next_fire_at, t.fired_through, t.fires_count, t.calendars::text AS calendars,
              s.version, s.name, s.policies::text AS policies
         FROM scheduler.triggers t
        CROSS JOIN LATERAL (
              SELECT * FROM scheduler.schedules s
               WHERE s.id = t.schedule_id
                 AND s.enabled
                 AND s.deleted_at IS NULL
              OFFSET 0) AS s
        WHERE t.next_fire_at <= c.now
          AND (t.next_fire_at, t.id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
        ORDER BY t.next_fire_at, t.id
        LIMIT $1) AS d ON true
  LEFT JOIN LATERAL (
       SELECT count(*) FILTER (WHERE l.state = 'queued') AS queued_count,
              count(*) FILTER (WHERE l.state = 'running') AS running_count
         FROM (SELECT v.state FROM scheduler.live_runs v WHERE v.schedule_id = d.schedule_id::uuid LIMIT 1000) AS l
       ) AS n ON true
 ORDER BY d.next_fire_at, d.trigger_id
