-- The days of the partitioned histories up to $1, oldest first, what each takes, and whether a live run was born on it.
-- service: the platform's history is of all tenants.
WITH needed AS MATERIALIZED (
    SELECT DISTINCT scheduler.uuid7_day(l.run_id) AS day
      FROM scheduler.live_runs l
     WHERE l.run_id < scheduler.uuid7_floor($1)
), days AS MATERIALIZED (
    SELECT t.name AS kind, to_date(right(c.relname, 8), 'YYYYMMDD') AS day, c.oid, c.reltuples
      FROM scheduler.partitioned_tables t
      JOIN pg_catalog.pg_inherits i ON i.inhparent = pg_catalog.to_regclass('scheduler.' || pg_catalog.quote_ident(t.name))
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
     WHERE c.relname ~ ('^' || t.name || '_[0-9]{8}$')
)
SELECT d.kind, d.day, pg_catalog.pg_total_relation_size(d.oid) AS bytes,
       CASE WHEN d.reltuples >= 0 THEN d.reltuples::bigint END AS rows_estimate,
       (k.is_with_runs AND d.day IN (SELECT n.day FROM needed n)) IS TRUE AS is_needed
  FROM days d
  LEFT JOIN scheduler.retention k ON k.kind = d.kind
 WHERE (d.day + 1)::timestamp AT TIME ZONE 'UTC' <= $1
 ORDER BY d.day, d.kind
