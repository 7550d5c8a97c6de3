-- What schedules define no more. $2 their ids, $3 the names that they go on defining.
DELETE FROM scheduler.milestone_definitions
 WHERE tenant_id = $1 AND schedule_id = ANY ($2::uuid[]) AND NOT name = ANY ($3::text[])
