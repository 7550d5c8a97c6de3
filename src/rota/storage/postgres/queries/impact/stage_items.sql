-- Puts items that a planning attempt has found beside those that it found before; a known one is there already.
-- Says whether the attempt is current. It need not be locked: what a stale one leaves here belongs to no snapshot.
WITH current_attempt AS MATERIALIZED (
    SELECT FROM scheduler.live_runs l
     WHERE l.run_id = $2
       AND l.attempt_token = $3
       AND l.worker_id IS NOT NULL
), staged AS (
    INSERT INTO scheduler.impact_items (run_id, planned_by, item, tenant_id)
    SELECT $2, $3, g.item, $1
      FROM unnest($4::text[]) AS g (item)
     WHERE EXISTS (SELECT FROM current_attempt)
     ORDER BY g.item
        ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM current_attempt) AS is_current
