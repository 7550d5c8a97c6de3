-- Gives free places wherever runs are due, a bounded number of keys at a time.
SELECT a.queues, a.last_key::text AS last_key, a.next_wanted_in_seconds
  FROM scheduler.admit_waiting(coalesce($1::uuid, '00000000-0000-0000-0000-000000000000'), $2::integer) AS a
