"""Who gives places while somebody else is at a key or at a turn, and does not go on."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from msgspec import structs

from rota.domain.ids import ScheduleId
from rota.domain.policies import Policies, RunPolicy
from rota.domain.run import RunDraft
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.places import KEYS_GIVEN_MAX
from tests.contract.records import ACME, change, new_id, schedule, trigger
from tests.contract.run_stores import RunStores, draft, postgres_run_stores
from tests.contract.stores import START, Stores
from tests.contract.test_firing_store import FENCE, advance, lead

SOON_SECONDS = 10.0
COUNTS = """
    SELECT count(*) FILTER (WHERE is_parked) AS parked,
           count(*) FILTER (WHERE wanted_at IS NOT NULL AND NOT is_parked) AS waiting,
           count(*) FILTER (WHERE due_at < 'infinity') AS placed
      FROM scheduler.live_runs
"""
OPEN_TURN = "INSERT INTO scheduler.schedule_turns (schedule_id, tenant_id) VALUES ($1, $2)"
LOCK_KEY = "SELECT pg_advisory_xact_lock(hashtext('scheduler.admit_keys'), hashtext($1))"


@pytest.fixture
def runs(stores: Stores, api_pool: Pool, service_pool: Pool) -> RunStores:
    return postgres_run_stores(stores, api_pool, service_pool)


@pytest.fixture
async def frozen(owner_pool: Pool) -> AsyncGenerator[Connection]:
    """A transaction of somebody who is frozen until the test's end."""
    async with owner_pool.acquire() as connection, connection.transaction():
        yield connection


async def counts(connection: Connection) -> tuple[int, ...]:
    (row,) = await connection.fetch(COUNTS)
    return tuple(row.values())


def keyed(key: str | None, **fields: object) -> RunDraft:
    return structs.replace(draft(policy=RunPolicy(concurrency_key=key, concurrency_max=5)), **fields)


async def test_runs_of_a_turn_that_somebody_is_at_are_left_for_the_next_look(
    runs: RunStores, admin_connection: Connection
) -> None:
    await runs.worker()
    nightly = ScheduleId(new_id())
    policy = RunPolicy(serial=True, concurrency_key="api", concurrency_max=5)
    serial = draft(schedule_id=nightly, policy=policy)
    await admin_connection.execute(OPEN_TURN, nightly, ACME)
    async with admin_connection.transaction():
        assert await admin_connection.fetch("SELECT FROM scheduler.schedule_turns FOR NO KEY UPDATE") != []
        enqueuing = runs.enqueue(serial, serial, serial, keyed("api"))
        await asyncio.wait_for(enqueuing, SOON_SECONDS)
        assert await counts(admin_connection) == (0, 2, 2)
        given = await asyncio.wait_for(runs.places.give_places(None, 10), SOON_SECONDS)
        assert await counts(admin_connection) == (0, 2, 2)
        assert given.next_wanted_in_seconds is not None
        assert given.next_wanted_in_seconds <= 0
    await runs.places.give_places(None, 10)
    assert await counts(admin_connection) == (2, 0, 2)


async def test_firing_does_not_wait_for_somebody_who_is_at_a_key(
    runs: RunStores, admin_connection: Connection, frozen: Connection
) -> None:
    await runs.worker()
    policies = Policies(overlap="allow", concurrency_max=2)
    made = [schedule(f"s{n}", triggers=(trigger(next_fire_at=START),), policies=policies) for n in range(2)]
    await runs.base.schedules.insert_many(ACME, made, change())
    await lead(runs)
    await frozen.execute(LOCK_KEY, made[0].id)
    due = (await runs.firing.due_triggers(10)).triggers
    applying = runs.firing.apply(FENCE, [advance(each) for each in due])
    assert (await asyncio.wait_for(applying, SOON_SECONDS)).runs_created == 2
    assert await counts(admin_connection) == (0, 1, 1)


async def test_no_transaction_is_at_more_keys_than_the_bound(runs: RunStores, admin_connection: Connection) -> None:
    await runs.worker()
    await runs.enqueue(*(keyed(f"k{n}") for n in range(KEYS_GIVEN_MAX + 50)))
    assert await counts(admin_connection) == (0, 50, KEYS_GIVEN_MAX)
    await runs.places.give_places(None, KEYS_GIVEN_MAX)
    assert await counts(admin_connection) == (0, 0, KEYS_GIVEN_MAX + 50)
