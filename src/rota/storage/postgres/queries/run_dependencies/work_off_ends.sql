-- Works off ends of runs that others wait for, under the leader's fence. No row: the fence is gone.
SELECT w.ends_count, w.queues FROM scheduler.work_off_dependencies($1, $2, $3, $4) AS w
