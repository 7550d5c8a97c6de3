-- Gives schedules their turn before the first of their serial runs is claimed. In order, so that two openers do not deadlock.
INSERT INTO scheduler.schedule_turns (schedule_id, tenant_id)
SELECT m.schedule_id, m.tenant_id
  FROM unnest($1::uuid[], $2::text[]) AS m (schedule_id, tenant_id)
 ORDER BY m.schedule_id
    ON CONFLICT (schedule_id) DO NOTHING
