-- A tenant's locks by name; there are never more than its quota, so that whether each is held may be asked of all.
-- $1 tenant_id, $2 held or NULL, $3 name to start behind, $4 limit, $5 offset. An empty page is one row without a name.
WITH clock AS MATERIALIZED (
    SELECT scheduler.current_time() AS now
), found AS MATERIALIZED (
    SELECT l.name, l.epoch, l.holder, l.acquired_at, l.expires_at, l.released_at,
           scheduler.lock_is_held(l, clock.now) AS held, clock.now AS as_of
      FROM scheduler.locks l
     CROSS JOIN clock
     WHERE l.tenant_id = $1
), matching AS MATERIALIZED (
    SELECT f.* FROM found f WHERE CASE WHEN $2::boolean IS NULL THEN true ELSE f.held = $2 END
), total AS (
    SELECT count(*) AS total_count FROM matching
), listed AS (
    SELECT m.* FROM matching m WHERE m.name > $3 ORDER BY m.name LIMIT $4 OFFSET $5
)
SELECT total.total_count, k.name AS id, k.*
  FROM total
  LEFT JOIN listed k ON true
 ORDER BY k.name
