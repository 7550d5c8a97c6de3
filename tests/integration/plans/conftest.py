"""What tests of plans are given beside the database."""

from collections.abc import AsyncGenerator

import pytest

from rota.storage.postgres.driver import Pool


@pytest.fixture
async def held_snapshot(owner_pool: Pool) -> AsyncGenerator[None]:
    """A transaction elsewhere that sees what was there before: the server may remove nothing that comes after."""
    async with owner_pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.fetchval("SELECT count(*) FROM scheduler.tenants")
        yield
