-- Of two who would make a schedule the second sees what the first made: it reads after this. Taken before the schedule's row.
SELECT b.kind
  FROM scheduler.bindings b
 WHERE b.tenant_id = $1 AND b.kind = $2 AND b.subject = $3
   FOR UPDATE
