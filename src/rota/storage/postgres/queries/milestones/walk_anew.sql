-- What was held while the flag was off gets its time again: each definition walks through its evidence anew.
-- $1 tenant_id.
WITH locked AS MATERIALIZED (
    SELECT d.name FROM scheduler.milestone_definitions d WHERE d.tenant_id = $1 ORDER BY d.name FOR UPDATE
)
UPDATE scheduler.milestone_definitions d
   SET walk_after = ''
  FROM locked l
 WHERE d.tenant_id = $1 AND d.name = l.name
