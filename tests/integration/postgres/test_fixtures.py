"""The ground that all store tests stand on."""

from datetime import UTC, datetime

import pytest

from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool
from tests.support.postgres import ClonedDatabase
from tests.support.settable_clock import SettableClock


async def test_each_engine_is_the_version_that_it_says(
    any_database: ClonedDatabase, admin_connection: Connection
) -> None:
    major = await admin_connection.fetchval("SELECT current_setting('server_version_num')::int / 10000")

    assert f"pg{major}" == any_database.engine


@pytest.mark.both_engines
async def test_every_login_enters_under_its_own_name(owner_pool: Pool, api_pool: Pool, service_pool: Pool) -> None:
    names = [await pool.fetchval("SELECT session_user::text") for pool in (owner_pool, api_pool, service_pool)]

    assert names == ["rota_owner", "rota_api", "rota_service"]


@pytest.mark.both_engines
async def test_every_connection_sees_the_time_that_the_test_set(
    test_clock: SettableClock, api_pool: Pool, service_pool: Pool
) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)

    await test_clock.set(noon)
    await test_clock.advance(90)

    async with tenant_transaction(api_pool, "anyone") as connection:
        seen = [await connection.fetchval("SELECT scheduler.current_time()")]
    seen.append(await service_pool.fetchval("SELECT scheduler.current_time()"))
    assert seen == [datetime(2030, 1, 1, 12, 1, 30, tzinfo=UTC)] * 2


async def test_a_running_test_clock_can_be_moved_on_and_put_right(test_clock: SettableClock) -> None:
    real = await test_clock.now()

    await test_clock.advance(3600)
    moved = await test_clock.now()
    await test_clock.release()
    released = await test_clock.now()

    assert (moved - real).total_seconds() >= 3600
    assert (released - real).total_seconds() < 60
