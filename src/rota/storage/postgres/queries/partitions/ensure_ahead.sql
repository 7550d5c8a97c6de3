-- Makes the daily partitions of all histories ahead of need; answers how many it made.
SELECT scheduler.ensure_partitions($1)
