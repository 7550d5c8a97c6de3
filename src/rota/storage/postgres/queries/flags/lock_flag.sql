-- Excludes all who act by a flag, while it is switched: see share_flag. $1 name, $2 tenant_id, or NULL for all tenants.
SELECT pg_catalog.pg_advisory_xact_lock(
           pg_catalog.hashtextextended('rota/flags/' || $1::text || coalesce('/' || $2::text, ''), 0))
