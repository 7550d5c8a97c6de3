-- Lets an attempt wait for its callback without a worker: see the function, whose statements must look afresh.
SELECT scheduler.await_callback($1::uuid, $2::bigint) AS outcome
