-- What was held while the flag was off for all gets its time again: each definition walks through its evidence anew.
-- service: the platform's flag is every tenant's.
WITH locked AS MATERIALIZED (
    SELECT d.tenant_id, d.name FROM scheduler.milestone_definitions d ORDER BY d.tenant_id, d.name FOR UPDATE
)
UPDATE scheduler.milestone_definitions d
   SET walk_after = ''
  FROM locked l
 WHERE d.tenant_id = l.tenant_id AND d.name = l.name
