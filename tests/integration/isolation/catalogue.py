"""What the database's own catalogue says about tables and rights, and rows of any table made from it alone."""

from dataclasses import dataclass

from rota.storage.postgres.driver import Connection

_TENANT_TABLES = """
SELECT c.relname::text AS name, c.relrowsecurity AS row_security, c.relispartition AS is_partition,
       has_any_column_privilege('rota_api', c.oid, 'SELECT') AS api_reads,
       has_any_column_privilege('rota_api', c.oid, 'INSERT') AS api_inserts,
       has_any_column_privilege('rota_api', c.oid, 'UPDATE') AS api_updates,
       has_table_privilege('rota_api', c.oid, 'DELETE') AS api_deletes,
       has_table_privilege('rota_api', c.oid, 'TRUNCATE') AS api_truncates
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'scheduler'
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p')
 ORDER BY c.relname
"""

_COLUMNS = """
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       (SELECT pg_get_constraintdef(k.oid)
          FROM pg_constraint k
         WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]
         LIMIT 1) AS check_definition
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'scheduler'
 WHERE c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'tenant_id' AND a.attidentity = ''
   AND (a.attnotnull AND NOT a.atthasdef OR a.attname = 'id')
 ORDER BY a.attnum
"""

_VALUES = {
    "uuid": "gen_random_uuid()",
    "text": "'x' || gen_random_uuid()",
    "timestamp with time zone": "clock_timestamp()",
    "boolean": "true",
    "jsonb": "'{}'",
    "json": "'{}'",
    "bytea": "uuid_send(gen_random_uuid())",
    "smallint": "1",
    "integer": "1",
    "bigint": "1",
    "double precision": "1",
    "numeric": "1",
    "interval": "'1 second'",
    "date": "'2026-03-01'",
    "text[]": "'{}'",
    "uuid[]": "'{}'",
    "integer[]": "'{}'",
    "bigint[]": "'{}'",
}


# What rows of other tables refer to.
REFERRED_TO = ("schedules", "schedule_templates")


@dataclass(frozen=True)
class TenantTable:
    """A table with `tenant_id`, and what rota_api may do with it."""

    name: str
    row_security: bool
    is_partition: bool
    api_reads: bool
    api_inserts: bool
    api_updates: bool
    api_deletes: bool
    api_truncates: bool


async def tenant_tables(admin: Connection) -> list[TenantTable]:
    """Every table with a `tenant_id`, so that a new one is tested without being named."""
    return [TenantTable(**dict(row.items())) for row in await admin.fetch(_TENANT_TABLES)]


async def insertion(admin: Connection, table: str) -> str:
    """A statement that inserts one row of the tenant $1, with some value for each column that must have one.

    A column that refers to another table gets a row that exists there, of the same tenant.
    """
    columns = await admin.fetch(_COLUMNS, table)
    names = ", ".join(str(column["name"]) for column in columns)
    values = ", ".join(_value(column["name"], column["type"], column["check_definition"]) for column in columns)
    return f"INSERT INTO scheduler.{table} (tenant_id, {names}) VALUES ($1, {values})"


def _value(column: str, type_name: str, check_definition: str | None) -> str:
    if column == "template":
        template = (
            "(SELECT name FROM scheduler.schedule_templates WHERE tenant_id = $1 ORDER BY name FETCH FIRST ROW ONLY)"
        )
        return f"coalesce({template}, 'none')"
    if column == "schedule_id":
        return "(SELECT id FROM scheduler.schedules WHERE tenant_id = $1 LIMIT 1)"
    if check_definition is not None and "ARRAY['" in check_definition:
        return "'" + check_definition.split("ARRAY['")[1].split("'")[0] + "'"
    return _VALUES[type_name]
