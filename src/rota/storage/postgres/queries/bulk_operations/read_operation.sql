-- One bulk operation, as its tenant sees it.
SELECT b.id::text AS id, b.verb, b.filter::text AS filter, b.expected_count, b.done_count, b.skipped_count, b.created_at,
       b.created_by, b.finished_at
  FROM scheduler.bulk_operations b
 WHERE b.tenant_id = $1
   AND b.id = $2
