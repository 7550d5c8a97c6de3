"""Rota behind a pooler in transaction mode."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest

from rota.domain.errors import DomainError
from rota.storage.postgres.connections import PoolOptions, open_connection, open_pool, tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.logins import Login
from rota.storage.postgres.migrator import Migrator
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep

POOLED = PoolOptions(pooled_by_transaction=True, connections_max=8)


@pytest.fixture
def pooled(database: ClonedDatabase) -> Iterator[ClonedDatabase]:
    pooler = PgBouncer(database)
    yield pooler.database
    pooler.close()


@pytest.fixture
async def pooled_api(pooled: ClonedDatabase) -> AsyncGenerator[Pool]:
    pool = await open_pool(pooled.urls.api, Login.API, application_name="test", sleep=loop_sleep, options=POOLED)
    yield pool
    await pool.close()


@pytest.mark.both_engines
async def test_tenants_stay_apart_on_shared_server_sessions(pooled_api: Pool) -> None:
    async def seen_by(tenant_id: str) -> tuple[str, str, set[int]]:
        sessions: set[int] = set()
        async with tenant_transaction(pooled_api, tenant_id) as connection:
            first = await connection.fetchval("SELECT scheduler.current_tenant()")
            sessions.add(await connection.fetchval("SELECT pg_backend_pid() FROM pg_sleep($1)", 0.01))
            last = await connection.fetchval("SELECT scheduler.current_tenant() || $1", "!")
        return first, last, sessions

    names = [f"tenant-{number}" for number in range(24)]
    answers = await asyncio.gather(*(seen_by(name) for name in names))

    assert [(first, last) for first, last, _ in answers] == [(name, f"{name}!") for name in names]
    assert len(set[int]().union(*(sessions for *_, sessions in answers))) <= 2


@pytest.mark.both_engines
async def test_no_tenant_is_left_behind_for_the_next_client(pooled: ClonedDatabase, pooled_api: Pool) -> None:
    for _ in range(4):
        async with tenant_transaction(pooled_api, "acme") as connection:
            await connection.execute("SELECT 1")
        async with transaction(pooled_api, readonly=True) as connection:
            assert await connection.fetchval("SELECT scheduler.current_tenant()") is None


async def test_a_session_has_the_settings_of_its_login(pooled_api: Pool) -> None:
    async with transaction(pooled_api) as connection:
        row = await connection.fetchrow("SELECT current_setting('TimeZone') AS zone, current_schemas(false) AS path")

    assert row is not None
    assert (row["zone"], row["path"]) == ("UTC", [])


async def test_json_travels_as_values(pooled_api: Pool) -> None:
    async with tenant_transaction(pooled_api, "acme") as connection:
        assert await connection.fetchval("SELECT $1::jsonb", {"a": [1]}) == {"a": [1]}


async def test_a_login_without_its_settings_is_refused_with_the_statement_to_run(
    pooled: ClonedDatabase, admin_connection: Connection
) -> None:
    await admin_connection.execute(f"ALTER ROLE rota_api IN DATABASE {pooled.name} SET search_path = 'public'")

    with pytest.raises(DomainError) as caught:
        await open_pool(pooled.urls.api, Login.API, application_name="test", sleep=loop_sleep, options=POOLED)

    assert "ALTER ROLE rota_api SET search_path = ''" in caught.value.problems[0].remedy


async def test_migrations_take_the_direct_way(pooled: ClonedDatabase) -> None:
    assert (await Migrator(pooled.urls, sleep=loop_sleep).migrate()).is_current


async def test_the_direct_way_is_the_logins_own(pooled: ClonedDatabase) -> None:
    assert pooled.urls.direct_service is not None
    connection = await open_connection(
        pooled.urls.direct_service, Login.SERVICE, application_name="test", sleep=loop_sleep
    )

    assert await connection.fetchval("SELECT session_user::text") == "rota_service"
    await connection.close()
