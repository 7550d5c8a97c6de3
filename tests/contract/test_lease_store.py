import asyncio
from datetime import timedelta

import pytest

from rota.domain.ids import Epoch
from rota.domain.lease import Lease
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.leases import PostgresLeaseStore
from tests.contract.run_stores import RunStores
from tests.contract.stores import START
from tests.support.settable_clock import SettableClock
from tests.support.waiting import wait_until

FENCE = "SELECT FROM scheduler.leases WHERE name = 'firing' AND epoch = 1 FOR KEY SHARE"


async def test_a_free_lease_is_taken_with_the_first_epoch(runs: RunStores) -> None:
    taken = await runs.leases.acquire_if_free("firing", "a", 2.5)

    assert taken == Lease("firing", Epoch(1), "a", START, START + timedelta(seconds=2.5), 2.5)
    assert await runs.leases.read("firing") == taken
    assert await runs.leases.read("other") is None


async def test_a_held_lease_is_answered_as_it_stands(runs: RunStores) -> None:
    await runs.leases.acquire_if_free("firing", "a", 2.5)
    await runs.base.clock.advance(1)

    for holder in ("b", "a"):
        seen = await runs.leases.acquire_if_free("firing", holder, 60)
        assert (seen.holder, seen.epoch, seen.remaining_seconds) == ("a", 1, 1.5)


@pytest.mark.parametrize("next_holder", ["a", "b"])
async def test_each_acquisition_by_anybody_raises_the_epoch(runs: RunStores, next_holder: str) -> None:
    await runs.leases.acquire_if_free("firing", "a", 2)
    await runs.base.clock.advance(2)
    taken = await runs.leases.acquire_if_free("firing", next_holder, 2)

    assert (taken.epoch, taken.holder, taken.acquired_at) == (2, next_holder, START + timedelta(seconds=2))


async def test_a_renewal_is_for_the_holder_of_the_epoch_while_it_lasts(runs: RunStores) -> None:
    await runs.leases.acquire_if_free("firing", "a", 2)
    await runs.base.clock.advance(1)
    renewed = await runs.leases.renew_if_held("firing", Epoch(1), "a", 2)
    wrong_epoch = await runs.leases.renew_if_held("firing", Epoch(2), "a", 2)
    wrong_holder = await runs.leases.renew_if_held("firing", Epoch(1), "b", 2)
    await runs.base.clock.advance(2)
    too_late = await runs.leases.renew_if_held("firing", Epoch(1), "a", 2)

    assert renewed is not None
    assert (renewed.epoch, renewed.remaining_seconds, renewed.acquired_at) == (1, 2, START)
    assert (wrong_epoch, wrong_holder, too_late) == (None, None, None)


async def test_a_released_lease_is_free_at_once_and_keeps_its_epoch(runs: RunStores) -> None:
    await runs.leases.acquire_if_free("firing", "a", 60)
    foreign = await runs.leases.release_if_held("firing", Epoch(1), "b")
    released = await runs.leases.release_if_held("firing", Epoch(1), "a")
    again = await runs.leases.release_if_held("firing", Epoch(1), "a")
    taken = await runs.leases.acquire_if_free("firing", "b", 60)

    assert (foreign, released, again) == (False, True, False)
    assert (taken.epoch, taken.holder) == (2, "b")


async def test_a_clock_that_is_set_back_prolongs_no_lease_beyond_its_length(runs: RunStores) -> None:
    """Or nobody could follow a holder that died before it: not until the old time is reached again."""
    await runs.leases.acquire_if_free("firing", "a", 2)
    await runs.base.clock.advance(-3600)
    seen = await runs.leases.acquire_if_free("firing", "b", 2)
    await runs.base.clock.advance(1)
    renewed = await runs.leases.renew_if_held("firing", seen.epoch, "a", 2)
    await runs.base.clock.advance(2)
    taken = await runs.leases.acquire_if_free("firing", "b", 2)

    assert (seen.holder, seen.epoch, seen.remaining_seconds) == ("a", 1, 2)
    assert renewed is not None
    assert (taken.holder, taken.epoch) == ("b", 2)


async def test_of_many_that_want_a_lease_one_gets_it(runs: RunStores) -> None:
    for epoch in (1, 2, 3):
        answers = await asyncio.gather(*(runs.leases.acquire_if_free("firing", f"h{n}", 5) for n in range(20)))
        assert len({(lease.holder, lease.epoch) for lease in answers}) == 1
        assert answers[0].epoch == epoch
        await runs.base.clock.advance(5)


async def blocked_by(connection: Connection, count: int = 1) -> None:
    """Waits until `count` sessions wait for a lock."""

    async def are_waiting() -> bool:
        waiting = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(waiting >= count)

    await wait_until(are_waiting, what=f"{count} sessions that wait for a lock")


@pytest.mark.both_engines
async def test_a_renewal_that_waits_behind_a_take_over_is_refused(
    service_pool: Pool, admin_connection: Connection, test_clock: SettableClock
) -> None:
    leases = PostgresLeaseStore(service_pool)
    await test_clock.set(START)
    await leases.acquire_if_free("firing", "a", 2)
    async with service_pool.acquire() as other, other.transaction():
        await other.execute("UPDATE scheduler.leases SET epoch = 2, holder = 'b', expires_at = $1", START)
        renewal = asyncio.ensure_future(leases.renew_if_held("firing", Epoch(1), "a", 2))
        await blocked_by(admin_connection)

    assert await renewal is None


@pytest.mark.both_engines
async def test_a_renewal_that_waits_until_its_lease_has_ended_is_refused(
    service_pool: Pool, admin_connection: Connection, test_clock: SettableClock
) -> None:
    leases = PostgresLeaseStore(service_pool)
    await test_clock.set(START)
    await leases.acquire_if_free("firing", "a", 2)
    async with service_pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM scheduler.leases FOR UPDATE")
        renewal = asyncio.ensure_future(leases.renew_if_held("firing", Epoch(1), "a", 2))
        await blocked_by(admin_connection)
        await test_clock.advance(2)

    assert await renewal is None


@pytest.mark.both_engines
async def test_a_take_over_waits_for_a_fenced_transaction_and_a_renewal_does_not(
    service_pool: Pool, admin_connection: Connection, test_clock: SettableClock
) -> None:
    leases, clock = PostgresLeaseStore(service_pool), test_clock
    await clock.set(START)
    await leases.acquire_if_free("firing", "a", 2)
    async with service_pool.acquire() as fenced, fenced.transaction():
        assert len(await fenced.fetch(FENCE)) == 1
        assert await leases.renew_if_held("firing", Epoch(1), "a", 2) is not None
        await clock.advance(2)
        take_over = asyncio.ensure_future(leases.acquire_if_free("firing", "b", 2))
        await blocked_by(admin_connection)
        assert not take_over.done()

    assert (await take_over).epoch == 2
    assert await service_pool.fetch(FENCE) == []
