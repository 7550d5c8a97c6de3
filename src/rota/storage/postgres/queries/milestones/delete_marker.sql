-- An operator wants a milestone made again: nothing but this ends a marker.
DELETE FROM scheduler.done_markers WHERE tenant_id = $1 AND name = $2 AND subject = $3
