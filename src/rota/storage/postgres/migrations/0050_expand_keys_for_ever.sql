-- Unique keys that are held for ever stay for ever; retention takes the others. The previous version marks none and takes all.

-- What was asked for with the keys of before is in no row. A second run is worse than a row that is kept: they all stay.
ALTER TABLE scheduler.unique_keys ADD COLUMN IF NOT EXISTS is_forever boolean NOT NULL DEFAULT true;
ALTER TABLE scheduler.unique_keys ALTER COLUMN is_forever SET DEFAULT false;
