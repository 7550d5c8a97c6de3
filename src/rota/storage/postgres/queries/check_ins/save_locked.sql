-- What a ping, or an operator, made of the check-in whose row lock_check_in holds.
UPDATE scheduler.check_ins
   SET state = $3,
       started_at = $4,
       succeeded_at = $5,
       failed_at = $6,
       missed_at = $7,
       expected_at = $8,
       deadline_at = $9,
       paused_at = $10
 WHERE tenant_id = $1 AND id = $2
