-- Facts of one transaction, in the order given: all have one time, and their ids ascend as they do.
-- $1 the drafts as a JSON list; each names its tenant_id, or null for the platform.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS at
), given AS MATERIALIZED (
    SELECT *
      FROM ROWS FROM (jsonb_to_recordset($1::text::jsonb) AS (
           tenant_id text, type text, subject text, actor text, data jsonb)) WITH ORDINALITY
           AS g (tenant_id, type, subject, actor, data, position)
), names AS (
    SELECT n.id, row_number() OVER (ORDER BY n.id) AS position
      FROM (SELECT scheduler.uuid7_at(clock.at) AS id FROM clock, given) AS n
)
INSERT INTO scheduler.events (id, tenant_id, at, type, subject, actor, data)
SELECT names.id, given.tenant_id, clock.at, given.type, given.subject, given.actor, given.data
  FROM given
  JOIN names ON names.position = given.position
 CROSS JOIN clock
