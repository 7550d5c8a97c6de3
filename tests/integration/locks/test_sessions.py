"""The session flavour: a lock that lasts as long as a database session, and how it and the timed one see each other."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from rota.core.lock_key import lock_key
from rota.domain.lock import LOCKS_PER_TENANT_MAX
from rota.storage.postgres.connections import open_connection, tenant_transaction
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.locks import PostgresLockStore
from rota.storage.postgres.logins import Login
from tests.contract.lock_stores import ACQUIRE, BREAK, LockStores, hold
from tests.contract.records import ACME, create_tenants
from tests.contract.stores import postgres_stores
from tests.support.postgres import ClonedDatabase
from tests.support.settable_clock import SettableClock
from tests.support.waiting import loop_sleep, wait_until

pytestmark = pytest.mark.both_engines

TRY = "SELECT scheduler.try_session_lock('acme', 'nightly', $1)"
RELEASE = "SELECT scheduler.release_session_lock('acme', 'nightly', $1)"
HOLDS = "SELECT scheduler.holds_lock('acme', 'nightly', $1)"


@pytest.fixture
async def locks(api_pool: Pool, service_pool: Pool, owner_pool: Pool, test_clock: SettableClock) -> LockStores:
    stores = postgres_stores(api_pool, service_pool, owner_pool, test_clock)
    await create_tenants(stores.tenants)
    return LockStores(stores, PostgresLockStore(api_pool), lambda count: PostgresLockStore(api_pool, count))


async def direct(database: ClonedDatabase) -> Connection:
    return await open_connection(
        database.urls.service, Login.SERVICE, application_name="session holder", sleep=loop_sleep
    )


@pytest.fixture
async def session(database: ClonedDatabase) -> AsyncGenerator[Connection]:
    connection = await direct(database)
    yield connection
    await connection.close()


async def test_a_session_holds_until_it_ends_however_it_ends(
    locks: LockStores, session: Connection, admin_connection: Connection
) -> None:
    assert await session.fetchval(TRY, "psql") == 1
    seen = await locks.store.get(ACME, "nightly")
    assert (seen.held, seen.token, seen.holder, seen.expires_at, seen.remaining_seconds) == (
        True,
        1,
        "psql",
        None,
        None,
    )
    assert (await locks.attempt("b")).acquired is False
    assert await locks.store.break_if_held(ACME, "nightly", BREAK) is None
    assert await locks.store.renew_if_held(ACME, "nightly", hold(1), 30) is None

    await admin_connection.execute("SELECT pg_terminate_backend($1)", session.get_server_pid())

    async def is_free() -> bool:
        return not (await locks.store.get(ACME, "nightly")).held

    await wait_until(is_free)
    assert (await locks.acquire("b")).token == 2
    assert await locks.events() == [
        ("LockLost", "nightly", {"token": 1, "holder": "psql", "next_token": 2, "next_holder": "b"})
    ]


async def test_a_session_that_shares_a_pooled_backend_does_not_enter_twice(
    locks: LockStores, session: Connection
) -> None:
    assert await session.fetchval(TRY, "one client") == 1
    assert await session.fetchval(TRY, "another client behind the same pooler") is None
    assert await session.fetchval(RELEASE, 1) is True
    assert await session.fetchval(RELEASE, 1) is False
    assert (await locks.acquire("b")).token == 2


async def test_another_backend_can_neither_release_nor_enter(
    locks: LockStores, session: Connection, database: ClonedDatabase
) -> None:
    other = await direct(database)
    assert await session.fetchval(TRY, "psql") == 1
    assert await other.fetchval(TRY, "psql") is None
    assert await other.fetchval(RELEASE, 1) is False
    assert (await locks.store.get(ACME, "nightly")).held is True
    assert await session.fetchval(RELEASE, 1) is True
    assert await other.fetchval(TRY, "psql") == 2
    await other.close()


async def test_a_timed_lock_is_not_taken_by_a_session_and_no_advisory_lock_stays_behind(
    locks: LockStores, session: Connection, test_clock: SettableClock
) -> None:
    await locks.acquire("a", ttl_seconds=60)
    assert await session.fetchval(TRY, "psql") is None
    key = lock_key(ACME, "nightly")
    assert await session.fetchval("SELECT scheduler.session_holds_lock($1, pg_backend_pid())", key) is False
    await test_clock.advance(61)
    assert await session.fetchval(TRY, "psql") == 2


async def test_a_refused_name_leaves_no_advisory_lock_behind(session: Connection, locks: LockStores) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await session.fetchval("SELECT scheduler.try_session_lock('nobody', 'nightly', 'psql')")
    key = lock_key("nobody", "nightly")
    assert await session.fetchval("SELECT scheduler.session_holds_lock($1, pg_backend_pid())", key) is False


async def test_the_plain_advisory_lock_keeps_everybody_out_and_is_told_as_such(
    locks: LockStores, session: Connection
) -> None:
    await session.execute("SELECT pg_advisory_lock(scheduler.lock_key('acme', 'nightly'))")
    seen = await locks.attempt("a")
    assert (seen.acquired, seen.by_session, seen.lock.held) == (False, True, False)
    await session.execute("SELECT pg_advisory_unlock(scheduler.lock_key('acme', 'nightly'))")
    assert (await locks.acquire("a")).token == 1


async def test_a_rolled_back_acquisition_tells_the_truth_to_both_sides(locks: LockStores, session: Connection) -> None:
    """The advisory lock outlives the transaction that the row went back with: nobody enters, until it is unlocked."""
    await session.execute("BEGIN")
    assert await session.fetchval(TRY, "psql") == 1
    await session.execute("ROLLBACK")
    assert (await locks.attempt("a")).by_session is True
    assert await session.fetchval(RELEASE, 1) is False
    await session.execute("SELECT pg_advisory_unlock(scheduler.lock_key('acme', 'nightly'))")
    assert (await locks.attempt("a")).acquired is True


async def test_a_write_fenced_in_this_database_holds_up_a_take_over_and_a_stale_one_is_refused(
    locks: LockStores, service_pool: Pool, test_clock: SettableClock
) -> None:
    await locks.acquire("a", ttl_seconds=30)
    async with service_pool.acquire() as writer, writer.transaction():
        assert await writer.fetchval(HOLDS, 1) is True
        assert await locks.store.renew_if_held(ACME, "nightly", hold(1), 30) is not None
        await test_clock.advance(31)
        take_over = asyncio.ensure_future(locks.attempt("b"))
        await asyncio.wait([take_over], timeout=5)
        assert "busy" in str(take_over.exception()) or "lock timeout" in str(take_over.exception())
    assert (await locks.acquire("b")).token == 2
    assert await service_pool.fetchval(HOLDS, 1) is False


async def test_the_tenants_login_takes_a_session_lock_of_its_own_tenant_only(locks: LockStores, api_pool: Pool) -> None:
    async with tenant_transaction(api_pool, ACME) as connection:
        assert await connection.fetchval(TRY, "psql") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT scheduler.try_session_lock('globex', 'nightly', 'psql')")


async def test_tokens_rise_over_a_restore_and_what_was_held_before_is_free(
    locks: LockStores, owner_pool: Pool, api_pool: Pool
) -> None:
    before = await locks.acquire("a", ttl_seconds=3600)
    await owner_pool.execute("SELECT scheduler.begin_timeline()")
    await api_pool.expire_connections()  # nobody is connected to a store while it is restored
    assert (await locks.store.get(ACME, "nightly")).held is False
    assert await locks.store.renew_if_held(ACME, "nightly", hold(before.token), 30) is None
    known, new = await locks.acquire("b"), await locks.acquire("b", "weekly")
    assert min(known.token, new.token) > 2**32


async def test_python_and_sql_give_the_same_key(session: Connection) -> None:
    for tenant, name in (
        ("acme", "nightly"),
        ("", ""),
        ("a", "b c"),
        ("ab", "c"),
        ("Zürich", "schlüssel 🔑"),
        ("x" * 200, "y"),
    ):
        assert await session.fetchval("SELECT scheduler.lock_key($1, $2)", tenant, name) == lock_key(tenant, name)


async def test_the_quota_of_sessions_is_the_quota_of_the_api(session: Connection) -> None:
    text = await session.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'try_session_lock'")
    assert f", {LOCKS_PER_TENANT_MAX}, true)" in text


async def test_a_renewal_that_races_a_release_never_outlives_it(locks: LockStores) -> None:
    for token in range(1, 31):
        await locks.acquire("a")
        _, released, _ = await asyncio.gather(
            locks.store.renew_if_held(ACME, "nightly", hold(token), 60),
            locks.store.release_if_held(ACME, "nightly", hold(token), ACQUIRE),
            locks.store.renew_if_held(ACME, "nightly", hold(token), 60),
        )
        assert released is not None
        assert (await locks.store.get(ACME, "nightly")).held is False
