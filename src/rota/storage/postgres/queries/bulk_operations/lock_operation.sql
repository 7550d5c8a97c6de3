-- A bulk operation and the place that it has come to, held until its next batch is stored.
SELECT b.verb, b.filter::text AS filter, b.expected_count - b.done_count - b.skipped_count AS left_count, b.states,
       coalesce(b.before_id, b.through_id)::text AS before_id, b.finished_at IS NOT NULL AS is_finished
  FROM scheduler.bulk_operations b
 WHERE b.tenant_id = $1
   AND b.id = $2
   FOR UPDATE
