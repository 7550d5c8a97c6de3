"""A session that the server ends while nobody uses it: the next statement finds the database unavailable, not a bug."""

import asyncio
import struct

import asyncpg
import pytest

from rota.domain.errors import Unavailable
from rota.storage.postgres.connections import ConnectRetry, PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.failures import translating_errors
from rota.storage.postgres.logins import Login
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep

FIELDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
FATAL = b"E" + struct.pack("!i", 4 + len(FIELDS)) + FIELDS


async def test_a_statement_between_the_servers_last_word_and_the_end_of_the_stream(database: ClonedDatabase) -> None:
    session = await asyncpg.connect(database.admin_url)
    try:
        # The driver reads the word and the end of the stream in two turns of the loop; a statement may come between.
        session._protocol.data_received(FATAL)  # noqa: SLF001 - deterministic, where the wire is not
        with pytest.raises(Unavailable, match="while looking"), translating_errors("looking"):
            await session.fetchval("SELECT 1")
    finally:
        session.terminate()


async def test_two_statements_at_once_stay_a_bug(database: ClonedDatabase) -> None:
    session = await asyncpg.connect(database.admin_url)
    try:
        slow = asyncio.create_task(session.fetchval("SELECT pg_sleep(30)"))
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, so that it has begun
        with pytest.raises(asyncpg.InterfaceError), translating_errors("looking"):
            await session.fetchval("SELECT 1")
        slow.cancel()
        await asyncio.wait([slow])
    finally:
        session.terminate()


async def test_a_pool_serves_on_after_its_sessions_were_ended(service_pool: Pool, database: ClonedDatabase) -> None:
    admin = await asyncpg.connect(database.admin_url)
    for _ in range(20):
        with_session = await service_pool.fetchval("SELECT pg_backend_pid()")
        await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", with_session)
        try:
            with translating_errors("looking"):
                assert await service_pool.fetchval("SELECT 1") == 1
        except Unavailable:
            assert await service_pool.fetchval("SELECT 1") == 1
    await admin.close()


async def test_a_pool_opens_although_its_first_sessions_are_ended_at_each_point(database: ClonedDatabase) -> None:
    """Of a process that starts while an administrator ends all sessions, or the database restarts."""
    admin = await asyncpg.connect(database.admin_url)
    opened_count = 0

    async def open_and_close() -> None:
        nonlocal opened_count
        patient = PoolOptions(retry=ConnectRetry(attempts_max=1_000, first_delay_seconds=0.0))
        for _ in range(8):
            pool = await open_pool(
                database.urls.api, Login.API, application_name="test opening", sleep=loop_sleep, options=patient
            )
            pool.terminate()
            opened_count += 1

    opening = asyncio.gather(*(open_and_close() for _ in range(4)))
    ended_count = 0
    while not opening.done():
        ended_count += await admin.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'test opening' AND random() < 0.2"
        )
    await opening
    await admin.close()

    assert opened_count == 32
    assert ended_count > 3
