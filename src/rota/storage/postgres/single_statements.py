"""Runs statements that are a whole transaction each, committed by the server itself.

On a direct connection that is one round trip, and a process that is frozen at any moment holds no lock. Behind a pooler
in transaction mode each statement needs a transaction around it (see `connections`).
"""

from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.failures import translating_errors


class SingleStatements:
    """One statement, one transaction. `doing` says what is being attempted, for the message of an error."""

    def __init__(self, pool: Pool, *, pooled_by_transaction: bool) -> None:
        self._pool = pool
        self._pooled_by_transaction = pooled_by_transaction

    async def fetch(self, doing: str, statement: str, *args: object) -> list[Row]:
        if self._pooled_by_transaction:
            async with transaction(self._pool, doing=doing) as connection:
                return await connection.fetch(statement, *args)
        with translating_errors(doing):
            return await self._pool.fetch(statement, *args)

    async def fetch_one(self, doing: str, statement: str, *args: object) -> Row | None:
        """The first row, or None where there is none."""
        rows = await self.fetch(doing, statement, *args)
        return rows[0] if rows else None
