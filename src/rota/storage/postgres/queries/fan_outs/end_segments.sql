-- Counts segments whose runs have ended, each once: see the function, whose statements must look afresh.
SELECT scheduler.end_segments($1::integer) AS ends_count
