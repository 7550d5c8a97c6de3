-- One definition's next steps through the evidence, whichever tenant's; NULL where none walks.
SELECT scheduler.walk_milestones($1) AS subjects_count
