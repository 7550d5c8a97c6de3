-- Replaces the one clock that decides by one that a test sets. A table, not a session's setting, so that every
-- connection of every process sees the same time. NULL: the real clock, moved by `shift`.
CREATE SCHEMA scheduler_test;
GRANT USAGE ON SCHEMA scheduler_test TO rota_api, rota_service;

CREATE TABLE scheduler_test.clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fake_now timestamptz,
    shift    interval NOT NULL DEFAULT '0'
);
INSERT INTO scheduler_test.clock DEFAULT VALUES;
GRANT SELECT ON scheduler_test.clock TO rota_api, rota_service;

CREATE OR REPLACE FUNCTION scheduler.current_time() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT coalesce(c.fake_now, clock_timestamp() + c.shift) FROM scheduler_test.clock AS c';
