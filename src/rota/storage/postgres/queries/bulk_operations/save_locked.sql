-- Stores what a batch came to, in the transaction of the batch.
UPDATE scheduler.bulk_operations b
   SET states = $3, before_id = $4, done_count = b.done_count + $5, skipped_count = b.skipped_count + $6,
       finished_at = CASE WHEN $7 THEN scheduler.current_time() END
 WHERE b.tenant_id = $1
   AND b.id = $2
