-- Keeps the answer of a claimed key, or gives the key back where there is none; nothing where another has it by now.
UPDATE scheduler.idempotency_keys k
   SET answer = $5, claimed_until = CASE WHEN $5::bytea IS NULL THEN '-infinity'::timestamptz END
 WHERE k.tenant_id = $1
   AND k.scope = $2
   AND k.key = $3
   AND k.resource_id = $4
