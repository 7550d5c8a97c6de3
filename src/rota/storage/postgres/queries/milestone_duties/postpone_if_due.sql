-- One that cannot be judged now (its schedule is a newer version's, say) keeps those behind it waiting no longer.
UPDATE scheduler.milestones m
   SET next_at = (SELECT scheduler.current_time()) + make_interval(secs => $4)
 WHERE m.tenant_id = $1
   AND m.name = $2
   AND m.subject = $3
   AND m.next_at <= (SELECT scheduler.current_time())
