"""Whether the schema is there that this version works on, asked by a login that cannot make it.

A newer schema will do: expand and contract keep it usable for the version before.
"""

import asyncpg

from rota.domain.errors import Unavailable
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.migrator import PACKAGED_MIGRATIONS, AppliedMigration, compare, load_migrations
from rota.storage.postgres.query_files import query

_LIST_APPLIED = query("migrations/list_applied")

# No schema yet, no ledger in it, or one from before this login might read it.
_NOT_YET = (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError)


async def require_schema(pool: Pool) -> None:
    """Raises Unavailable while a migration of this version is missing. *pool* is of the service login."""
    try:
        async with transaction(pool, readonly=True, doing="reading the version of the schema") as connection:
            rows = await connection.fetch(_LIST_APPLIED)
    except _NOT_YET as missing:
        raise Unavailable(f"the database has no schema of this version: {missing}; run `rota migrate`") from missing
    applied = [AppliedMigration(row["version"], row["name"], row["checksum"]) for row in rows]
    pending = compare(load_migrations(PACKAGED_MIGRATIONS), applied).pending
    if pending:
        raise Unavailable(f"the database's schema is older than this version: run `rota migrate` for {pending[0]}")
