-- Drops a day of a history if its rule, which the function looks up, lets it; answers what became of it.
SELECT scheduler.drop_day_if_aged($1, $2, $3, $4) AS outcome
