-- A worker claims no more and finishes what it holds.
UPDATE scheduler.workers w
   SET state = 'draining'
 WHERE w.id = $1
   AND w.state = 'active'
