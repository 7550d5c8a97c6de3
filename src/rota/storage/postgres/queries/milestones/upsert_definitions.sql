-- What schedules define now; each begins its walk through the evidence anew. A name that another schedule has is left to it,
-- and not returned. With the names that the tenant has in all before.
WITH before AS MATERIALIZED (
    SELECT count(*) AS definitions_count FROM scheduler.milestone_definitions WHERE tenant_id = $1
), stored AS (
    INSERT INTO scheduler.milestone_definitions AS d (
           tenant_id, name, schedule_id, trigger_id, evidence, age_seconds, window_seconds, on_missed)
    SELECT $1, g.name, g.schedule_id, g.trigger_id, g.evidence, g.age_seconds, g.window_seconds, g.on_missed
      FROM jsonb_to_recordset($2::text::jsonb) AS g (
           name text, schedule_id uuid, trigger_id uuid, evidence text, age_seconds float8, window_seconds float8,
           on_missed text)
     ORDER BY g.name
        ON CONFLICT (tenant_id, name) DO UPDATE
       SET trigger_id = excluded.trigger_id,
           evidence = excluded.evidence,
           age_seconds = excluded.age_seconds,
           window_seconds = excluded.window_seconds,
           on_missed = excluded.on_missed,
           walk_after = ''
     WHERE d.schedule_id = excluded.schedule_id
    RETURNING d.name, d.xmax = 0 AS is_new
)
SELECT ARRAY(SELECT s.name FROM stored s) AS names,
       b.definitions_count + (SELECT count(*) FROM stored s WHERE s.is_new) AS definitions_count
  FROM before b
