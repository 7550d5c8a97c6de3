-- Marks check-ins whose deadline has passed, each with its event in the same transaction. One that is being pinged this instant
-- is passed over and judged again the next time. A check-in that is missing has no deadline, so that it is missed once. The leader watches all tenants.
WITH due AS MATERIALIZED (
    SELECT c.id, c.tenant_id, c.name, c.expected_at, c.deadline_at
      FROM scheduler.check_ins c
      JOIN scheduler.tenants t ON t.id = c.tenant_id AND t.revoked_at IS NULL
     WHERE c.deadline_at <= (SELECT scheduler.current_time())
     ORDER BY c.deadline_at
     LIMIT $1
       FOR UPDATE OF c SKIP LOCKED
), judged AS MATERIALIZED (
    SELECT d.*, scheduler.current_time() AS now FROM due d
), missed AS (
    UPDATE scheduler.check_ins c
       SET state = 'missing',
           missed_at = j.now,
           expected_at = NULL,
           deadline_at = NULL
      FROM judged j
     WHERE c.id = j.id
    RETURNING j.*
), told AS (
    INSERT INTO scheduler.events (id, tenant_id, at, type, subject, data)
    SELECT scheduler.uuid7_at(m.now), m.tenant_id, m.now, 'CheckInMissed', m.id::text,
           jsonb_build_object('name', m.name, 'expected_at', m.expected_at, 'deadline_at', m.deadline_at)
      FROM missed m
)
SELECT count(*) AS missed_count FROM missed
