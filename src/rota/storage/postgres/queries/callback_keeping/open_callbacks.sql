-- Keeps the addresses of attempts before their requests are sent: what is called must be known.
INSERT INTO scheduler.callbacks (secret_hash, run_id, tenant_id, token, wait_seconds, keep_until)
SELECT g.secret_hash, g.run_id, g.tenant_id, g.token, g.wait_seconds,
       scheduler.current_time() + make_interval(secs => g.keep_seconds)
  FROM unnest($1::bytea[], $2::uuid[], $3::text[], $4::bigint[], $5::float8[], $6::float8[])
       AS g (secret_hash, run_id, tenant_id, token, wait_seconds, keep_seconds)
