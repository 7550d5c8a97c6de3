-- Cancels segments of runs that are to stop: see the function, whose statements must look afresh.
SELECT scheduler.stop_segments($1::integer) AS children_count
