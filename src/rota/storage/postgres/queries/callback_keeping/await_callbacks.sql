-- Lets attempts wait for their callbacks without a worker: see the function, whose statements must look afresh. In the order
-- of the runs, as all who lock several of them.
SELECT o.place, scheduler.await_callback(o.run_id, o.token) AS outcome
  FROM (SELECT g.run_id, g.token, g.place
          FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS g (run_id, token, place)
         ORDER BY g.run_id, g.place
        OFFSET 0) AS o
