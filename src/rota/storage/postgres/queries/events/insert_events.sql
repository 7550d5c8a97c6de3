-- Facts of one transaction, in the order given: all have one time, and their ids ascend as they do.
-- $1 the drafts as a JSON list; each names its tenant_id, or null for the platform.
WITH clock AS MATERIALIZED (
    SELECT c.now, scheduler.uuid7_series(c.now) AS series FROM (SELECT scheduler.current_time() AS now) AS c
)
INSERT INTO scheduler.events (id, tenant_id, at, type, subject, actor, data)
SELECT scheduler.uuid7_nth(clock.series, g.position), g.tenant_id, clock.now, g.type, g.subject, g.actor, g.data
  FROM clock
 CROSS JOIN ROWS FROM (jsonb_to_recordset($1::text::jsonb) AS (
            tenant_id text, type text, subject text, actor text, data jsonb)) WITH ORDINALITY
            AS g (tenant_id, type, subject, actor, data, position)
