-- Stores lines of output; one that is stored already is left as it is, so that a flush may be repeated.
INSERT INTO scheduler.log_lines (run_id, attempt_no, seq, at, tenant_id, stream, text)
SELECT l.run_id, l.attempt_no, l.seq, l.at, l.tenant_id, l.stream, l.text
  FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
       AS l (run_id, attempt_no, seq, at, tenant_id, stream, text)
 ORDER BY l.run_id, l.attempt_no, l.seq
    ON CONFLICT (run_id, attempt_no, seq) DO NOTHING
