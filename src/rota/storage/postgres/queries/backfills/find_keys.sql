-- Which run keys are taken, and whether by the record of a skipped firing. $1 tenant_id, $2 the keys.
SELECT asked.key::text AS key, found.is_skipped
  FROM unnest($2::uuid[]) AS asked (key)
 CROSS JOIN LATERAL (
       SELECT coalesce((SELECT r.state = 'skipped'
                          FROM scheduler.runs r
                         WHERE r.tenant_id = $1 AND r.id = k.run_id), false) AS is_skipped
         FROM scheduler.run_keys k
        WHERE k.tenant_id = $1 AND k.key = asked.key) AS found
