-- How long the leader may sleep: one look at the end of an index; and whether a definition walks.
-- service: the leader serves all tenants.
SELECT (SELECT extract(epoch FROM m.next_at - (SELECT scheduler.current_time()))::float8
          FROM scheduler.milestones m
         WHERE m.next_at IS NOT NULL
         ORDER BY m.next_at
         LIMIT 1) AS next_in_seconds,
       EXISTS (SELECT FROM scheduler.milestone_definitions d WHERE d.walk_after IS NOT NULL) AS walks
