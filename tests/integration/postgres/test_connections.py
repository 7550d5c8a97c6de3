import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from rota.domain.errors import Bug, DomainError, Unavailable
from rota.storage.postgres.connections import (
    FENCED_SETTINGS,
    ConnectRetry,
    PoolOptions,
    open_connection,
    open_pool,
    tenant_transaction,
    transaction,
)
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.logins import Login, with_user
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep, wait_until

NO_PATIENCE = ConnectRetry(attempts_max=1)


@pytest.fixture
async def fenced(database: ClonedDatabase) -> AsyncGenerator[Connection]:
    connection = await open_connection(
        database.urls.service,
        Login.SERVICE,
        application_name="test (fenced)",
        sleep=loop_sleep,
        settings=FENCED_SETTINGS,
    )
    yield connection
    await connection.close()


async def test_a_session_speaks_utc_and_has_no_search_path(any_database: ClonedDatabase, api_pool: Pool) -> None:
    row = await api_pool.fetchrow("SELECT current_setting('TimeZone') AS zone, current_schemas(false) AS path")

    assert row is not None
    assert (row["zone"], row["path"]) == ("UTC", [])


async def test_an_unqualified_table_is_not_found(owner_pool: Pool) -> None:
    await owner_pool.execute("CREATE TABLE scheduler.only_qualified ()")

    with pytest.raises(asyncpg.UndefinedTableError):
        await owner_pool.execute("SELECT FROM only_qualified")


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "é"]}, [], "text", 0, True])
@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_json_travels_as_values(api_pool: Pool, kind: str, value: object) -> None:
    assert await api_pool.fetchval(f"SELECT $1::{kind}", value) == value


async def test_a_tenant_lasts_for_its_transaction_only(any_database: ClonedDatabase) -> None:
    pool = await open_pool(
        any_database.urls.api,
        Login.API,
        application_name="test",
        sleep=loop_sleep,
        options=PoolOptions(connections_max=1),
    )
    try:
        async with tenant_transaction(pool, "acme") as connection:
            during = await connection.fetchval("SELECT scheduler.current_tenant()")
        after = await pool.fetchval("SELECT scheduler.current_tenant()")
    finally:
        await pool.close()

    assert (during, after) == ("acme", None)


@pytest.mark.parametrize("tenant_id", ["", "  "])
async def test_a_blank_tenant_is_a_bug(api_pool: Pool, tenant_id: str) -> None:
    with pytest.raises(Bug, match="needs a tenant"):
        async with tenant_transaction(api_pool, tenant_id):
            pytest.fail("the transaction began")


async def test_an_error_in_the_block_undoes_its_writes(service_pool: Pool) -> None:
    async def count() -> int:
        return int(await service_pool.fetchval("SELECT count(*) FROM scheduler.tenants WHERE id = 'undone'"))

    async def insert_and_fail() -> None:
        async with transaction(service_pool) as connection:
            await connection.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('undone', '', '')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await insert_and_fail()

    assert await count() == 0


async def test_a_write_in_a_read_only_transaction_is_no_outage(service_pool: Pool) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with transaction(service_pool, readonly=True) as connection:
            await connection.execute("DELETE FROM scheduler.tenants")


async def test_a_server_that_turned_read_only_is_an_outage(service_pool: Pool) -> None:
    async def write_after_fail_over() -> None:
        async with transaction(service_pool) as connection:
            await connection.execute("SET TRANSACTION READ ONLY")
            await connection.execute("DELETE FROM scheduler.tenants")

    with pytest.raises(Unavailable, match="read-only"):
        await write_after_fail_over()


async def test_a_broken_constraint_is_no_outage(service_pool: Pool) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        async with transaction(service_pool) as connection:
            await connection.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES (' ', '', '')")


@pytest.mark.both_engines
async def test_a_fenced_statement_gives_up_after_a_second(fenced: Connection) -> None:
    with pytest.raises(asyncpg.QueryCanceledError, match="statement timeout"):
        await fenced.execute("SELECT pg_sleep(30)")


@pytest.mark.both_engines
async def test_a_fenced_transaction_that_stalls_loses_its_locks(fenced: Connection, service_pool: Pool) -> None:
    await service_pool.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('held', '', '')")
    stalled = fenced.transaction()
    await stalled.__aenter__()
    await fenced.execute("SELECT FROM scheduler.tenants WHERE id = 'held' FOR UPDATE")

    # Waits for the stalled transaction, which never says another word.
    await service_pool.execute("UPDATE scheduler.tenants SET name = 'free' WHERE id = 'held'", timeout=5)

    assert await wait_until(fenced.is_closed)


async def test_a_killed_session_is_an_outage_and_the_pool_goes_on(
    service_pool: Pool, admin_connection: Connection
) -> None:
    async def work_and_be_killed() -> None:
        async with transaction(service_pool) as connection:
            victim = await connection.fetchval("SELECT pg_backend_pid()")
            await admin_connection.execute("SELECT pg_terminate_backend($1)", victim)
            await connection.execute("SELECT 1")

    with pytest.raises(Unavailable, match="working for the platform"):
        await work_and_be_killed()

    assert await service_pool.fetchval("SELECT 1") == 1


async def test_a_closed_pool_is_an_outage(database: ClonedDatabase) -> None:
    pool = await open_pool(database.urls.service, Login.SERVICE, application_name="test", sleep=loop_sleep)
    await pool.close()

    with pytest.raises(Unavailable, match=r"closed|closing"):
        async with transaction(pool):
            pytest.fail("the transaction began")


async def test_a_transaction_that_keeps_running_into_another_is_an_outage(service_pool: Pool) -> None:
    add = "INSERT INTO scheduler.tenants (id, name, created_by) VALUES ($1, '', '')"
    for name in ("one", "two"):
        await service_pool.execute(add, name)
    touch = "UPDATE scheduler.tenants SET name = 'x' WHERE id = $1"
    both_hold_one = asyncio.Barrier(2)

    async def cross(first: str, second: str) -> None:
        async with transaction(service_pool, doing="crossing") as connection:
            await connection.execute(touch, first)
            await both_hold_one.wait()
            await connection.execute(touch, second)

    outcomes = await asyncio.gather(cross("one", "two"), cross("two", "one"), return_exceptions=True)

    (failure,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(failure, Unavailable)
    assert "while crossing: deadlock" in failure.detail


async def test_a_pool_waits_for_a_server_that_is_not_up_yet(pg18_database: ClonedDatabase) -> None:
    waited: list[float] = []
    right = pg18_database.urls.service
    missing = with_user(f"postgresql:///{pg18_database.name}?host=/nowhere", "rota_service", "pw")
    retry = ConnectRetry(attempts_max=4, first_delay_seconds=0.5, delay_seconds_max=0.8)

    async def note(seconds: float) -> None:
        waited.append(seconds)

    with pytest.raises(Unavailable, match="connecting as rota_service"):
        await open_pool(missing, Login.SERVICE, application_name="test", sleep=note, options=PoolOptions(retry=retry))

    assert waited == [0.5, 0.8, 0.8]
    waited.clear()
    pool = await open_pool(right, Login.SERVICE, application_name="test", sleep=note)
    await pool.close()
    assert waited == []


@pytest.mark.both_engines
async def test_a_wrong_password_names_the_option_and_is_not_tried_again(database: ClonedDatabase) -> None:
    async def never(seconds: float) -> None:
        pytest.fail(f"waited {seconds} s")

    url = with_user(database.urls.api, "rota_api", "wrong")

    with pytest.raises(DomainError) as caught:
        await open_pool(url, Login.API, application_name="test", sleep=never)

    (problem,) = caught.value.problems
    assert problem.field == "--database-api-url"
    assert "password authentication failed" in problem.problem
    assert "rota migrate" in problem.remedy


async def test_an_unknown_database_is_refused_with_a_remedy(database: ClonedDatabase) -> None:
    url = database.urls.service.replace(database.name, "no_such_database")

    with pytest.raises(DomainError, match="no_such_database"):
        await open_connection(url, Login.SERVICE, application_name="test", sleep=loop_sleep)


async def test_the_first_host_that_answers_is_used(database: ClonedDatabase) -> None:
    base, _, socket_dir = database.urls.service.partition("?host=")
    url = f"{base}?host=/nowhere,{socket_dir}&target_session_attrs=read-write"

    connection = await open_connection(url, Login.SERVICE, application_name="test", sleep=loop_sleep, retry=NO_PATIENCE)

    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_session_settings_are_a_bug_behind_a_pooler(database: ClonedDatabase) -> None:
    options = PoolOptions(pooled_by_transaction=True, settings=FENCED_SETTINGS)

    with pytest.raises(Bug, match="need a direct connection"):
        await open_pool(
            database.urls.service, Login.SERVICE, application_name="test", sleep=loop_sleep, options=options
        )
