-- Makes what was found and cut the run's snapshot, and launches it: see the function, whose statements must look afresh.
SELECT f.outcome, f.items_total, f.segments_count
  FROM scheduler.launch_segments($1::text, $2::uuid, $3::bigint, $4::integer, $5::integer, $6::boolean, $7::float8, $8::boolean) AS f
