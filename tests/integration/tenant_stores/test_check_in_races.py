"""Pings and the watch at the same row, stopped at the worst moment."""

import asyncio
from datetime import UTC, datetime

import pytest

from rota.core.check_ins import on_ping, opened
from rota.domain.check_in import CheckIn
from rota.domain.ids import CheckInId
from rota.domain.tenancy import AuditEntry
from rota.ports.tenant_store import EventFilter
from rota.storage.postgres.check_ins import PostgresCheckInDeadlines, PostgresCheckInStore
from rota.storage.postgres.driver import Connection, Pool
from tests.contract.records import ACME, new_id
from tests.contract.stores import Stores
from tests.integration.tenant_stores.test_races import blocked

pytestmark = pytest.mark.both_engines

CREATE = AuditEntry("ada", "create", "check_in", "c")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOLD = "SELECT FROM scheduler.check_ins FOR UPDATE"
PINGED = "UPDATE scheduler.check_ins SET state = 'on_time', deadline_at = clock_timestamp() + interval '1 hour'"


@pytest.fixture
async def store(stores: Stores, api_pool: Pool) -> PostgresCheckInStore:
    """With one check-in, whose deadline passed long ago."""
    del stores
    made = PostgresCheckInStore(api_pool)
    late = CheckIn(CheckInId(new_id()), ACME, "dump", None, "UTC", 60.0, 10.0, "waiting", LONG_AGO, "ada")
    await made.create(opened(late), b"secret", CREATE)
    return made


async def told(stores: Stores) -> list[str]:
    events = await stores.events.after(EventFilter(ACME), None, 100)
    return [one.type for one in events if one.type in {"CheckInMissed", "CheckInRecovered"}]


async def test_a_check_in_that_is_being_pinged_is_not_missed(
    stores: Stores, store: PostgresCheckInStore, service_pool: Pool, admin_connection: Connection
) -> None:
    del store
    deadlines = PostgresCheckInDeadlines(service_pool)
    async with admin_connection.transaction():
        await admin_connection.execute(PINGED)
        assert await asyncio.wait_for(deadlines.mark_missed(10), 5) == 0
    assert await deadlines.mark_missed(10) == 0
    assert await told(stores) == []


async def test_pings_that_wait_for_each_other_recover_once(
    stores: Stores,
    store: PostgresCheckInStore,
    service_pool: Pool,
    owner_pool: Pool,
    admin_connection: Connection,
) -> None:
    assert await PostgresCheckInDeadlines(service_pool).mark_missed(10) == 1

    async def ping() -> bool:
        return await store.ping(b"secret", lambda check_in, now: on_ping(check_in, "success", now))

    async with admin_connection.transaction():
        await admin_connection.execute(HOLD)
        first = await blocked(owner_pool, ping())
        second = await blocked(owner_pool, ping(), waiting=2)
    assert await asyncio.gather(first, second) == [True, True]
    assert await told(stores) == ["CheckInMissed", "CheckInRecovered"]
