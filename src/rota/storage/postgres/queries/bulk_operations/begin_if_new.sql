-- Begins a bulk operation, unless it was begun: its id is chosen by the caller, so that a repeated request begins it once.
INSERT INTO scheduler.bulk_operations (id, tenant_id, verb, filter, states, expected_count, through_id, created_at, created_by)
SELECT $2, $1, $3, $4::json, $5, $6, scheduler.uuid7_floor(c.now + interval '1 millisecond'), c.now, $7
  FROM (SELECT scheduler.current_time() AS now) AS c
    ON CONFLICT (id) DO NOTHING
RETURNING id
