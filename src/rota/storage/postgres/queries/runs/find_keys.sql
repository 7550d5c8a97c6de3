-- Names the runs that have these keys: asked after an enqueue that met known keys, in a snapshot newer than its own.
SELECT k.key::text AS key, k.run_id::text AS run_id
  FROM unnest($2::uuid[]) AS asked (key)
 CROSS JOIN LATERAL (
       SELECT r.key, r.run_id FROM scheduler.run_keys r WHERE r.key = asked.key AND r.tenant_id = $1 OFFSET 0) AS k
