-- Names the runs that have these keys: asked after an enqueue that met known keys, in a snapshot newer than its own.
SELECT asked.n, owner.run_id::text AS run_id
  FROM unnest($2::uuid[]) WITH ORDINALITY AS asked (key, n)
 CROSS JOIN LATERAL (
       SELECT k.run_id FROM scheduler.run_keys k WHERE k.key = asked.key AND k.tenant_id = $1 OFFSET 0) AS owner
 ORDER BY asked.n
