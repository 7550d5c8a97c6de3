-- What is queued and what is held changes from one second to the next, so that statistics of it are out of date when they
-- are used: gathered while all was queued, they made the looks for held runs read another index from end to end. Without
-- them the server expects a part of the rows for each condition, and takes the index that serves most conditions.
DO $$
DECLARE
    changing text;
BEGIN
    FOR changing IN
        SELECT a.attname
          FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = 'scheduler.live_runs'::regclass
           AND a.attnum > 0
           AND NOT a.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE scheduler.live_runs ALTER COLUMN %I SET STATISTICS 0', changing);
    END LOOP;
END
$$;
