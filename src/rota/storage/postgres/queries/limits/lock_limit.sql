-- One limit, for whoever changes or removes it.
SELECT kind, name, version, concurrency_max, rate_per_second, burst, updated_at, updated_by
  FROM scheduler.limits
 WHERE kind = $1
   AND name = $2
   FOR UPDATE
