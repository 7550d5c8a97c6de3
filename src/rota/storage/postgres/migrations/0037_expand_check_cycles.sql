-- What the leaders' check cycles ever came to: their events are history, these sums are kept for ever.

-- One row, written once a second at most. `sums` are `rota.domain.cycle.CheckSums`.
CREATE TABLE scheduler.check_totals (
    is_only        boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    since          timestamptz NOT NULL,
    reports_count  bigint NOT NULL,
    last_at        timestamptz,
    sums           jsonb NOT NULL
) WITH (fillfactor = 50);

INSERT INTO scheduler.check_totals (since, reports_count, sums) VALUES (scheduler.current_time(), 0, '{}');

GRANT SELECT, UPDATE ON scheduler.check_totals TO rota_service;
