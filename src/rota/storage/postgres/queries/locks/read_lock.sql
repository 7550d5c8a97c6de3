-- A lock as it stands, with the store's time. $1 tenant_id, $2 name.
SELECT l.name, l.epoch, l.holder, l.acquired_at, l.expires_at, l.released_at,
       scheduler.lock_is_held(l, clock.now) AS held, clock.now AS as_of
  FROM scheduler.locks l
 CROSS JOIN (SELECT scheduler.current_time() AS now OFFSET 0) AS clock
 WHERE l.tenant_id = $1 AND l.name = $2
