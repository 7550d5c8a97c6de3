-- Tenants share a queue by their weights, so workers look through it tenant by tenant; what is not due yet sleeps apart.
-- The previous version goes on beside it: it puts nothing to sleep, and claims what sleeps when it is due.

ALTER TABLE scheduler.tenants
    ADD COLUMN weight smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000);

-- A queued run that is not due yet sleeps: it has its entry in another index, ordered by time alone, until a claim wakes
-- it. So what is claimable is due, and a look at it meets no tenant in vain. Without statistics, as 0014 says.
ALTER TABLE scheduler.live_runs ADD COLUMN is_asleep boolean NOT NULL DEFAULT false;
ALTER TABLE scheduler.live_runs ALTER COLUMN is_asleep SET STATISTICS 0;
