-- Deletes the first of a batch's runs, unless they live or their end is still to be acted on; says how many it has looked at.
SELECT d.handled_count, d.done_count FROM scheduler.delete_ended_runs($1, $2::uuid[], $3, $4) AS d
