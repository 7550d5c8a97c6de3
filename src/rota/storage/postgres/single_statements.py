"""Runs statements that are a whole transaction each, committed by the server itself.

On a direct connection that is one round trip, and a process that is frozen at any moment holds no lock. Behind a pooler
in transaction mode each statement needs a transaction around it (see `connections`).

Who stops waiting for an answer gives up the connection, too. The driver would wait until the server has confirmed that
it stopped, and one that does not answer does not confirm either: a time-out would not end, and the place be lost.
"""

import asyncio

import asyncpg

from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.failures import translating_errors


class SingleStatements:
    """One statement, one transaction. `doing` says what is being attempted, for the message of an error."""

    def __init__(self, pool: Pool, *, pooled_by_transaction: bool) -> None:
        self._pool = pool
        self._run = _in_transaction if pooled_by_transaction else _directly

    async def fetch(self, doing: str, statement: str, *args: object) -> list[Row]:
        with translating_errors(doing):
            async with self._pool.acquire() as connection:
                return await self._run(connection, statement, args)

    async def fetch_one(self, doing: str, statement: str, *args: object) -> Row | None:
        """The first row, or None where there is none."""
        rows = await self.fetch(doing, statement, *args)
        return rows[0] if rows else None


async def _directly(connection: Connection, statement: str, args: tuple[object, ...]) -> list[Row]:
    try:
        return await connection.fetch(statement, *args)
    except asyncio.CancelledError:
        connection.terminate()
        raise


async def _in_transaction(connection: Connection, statement: str, args: tuple[object, ...]) -> list[Row]:
    is_given_up = False
    try:
        async with connection.transaction():
            try:
                return await connection.fetch(statement, *args)
            except asyncio.CancelledError:
                # Here, since the end of the transaction would wait for the server; now it says that there is none.
                is_given_up = True
                connection.terminate()
                raise
    except asyncpg.InterfaceError:
        if is_given_up:
            raise asyncio.CancelledError from None
        raise
    except asyncio.CancelledError:
        if not is_given_up:
            connection.terminate()
        raise
