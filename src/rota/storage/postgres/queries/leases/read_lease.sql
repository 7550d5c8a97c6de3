-- A lease as it stands, with the store's time.
SELECT l.epoch, l.holder, l.acquired_at, l.expires_at, scheduler.current_time() AS now
  FROM scheduler.leases l
 WHERE l.name = $1
