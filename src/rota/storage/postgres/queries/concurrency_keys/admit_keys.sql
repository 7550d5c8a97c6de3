-- Gives the free places of these keys to the runs that are next, and answers the queues where there is something to claim.
SELECT scheduler.admit_keys($1::uuid[], $2::boolean) AS queues
