-- Announces topics to every process that listens; a statement of its own, never inside a transaction that works.
SELECT pg_notify('rota_wakeups', topic) FROM unnest($1::text[]) AS announced (topic)
