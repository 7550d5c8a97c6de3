"""The election's shell with a short lease, its real thread, and a store that misbehaves on demand."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_rng import SystemRng
from rota.core.leadership import LeadershipPolicy
from rota.domain.errors import Bug, Unavailable
from rota.domain.event import EventDraft
from rota.domain.ids import Epoch
from rota.domain.lease import Lease
from rota.ports.tenant_store import EventFilter
from rota.services.election import Election
from rota.services.leadership_events import LeadershipEvents
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.events import MemoryEventStore
from rota.storage.memory.leases import MemoryLeaseStore
from rota.storage.memory.wakeups import MemoryWakeups
from tests.contract.stores import NumberedIds
from tests.support.waiting import wait_until

CLOCK = SystemClock()
ORIGIN = datetime(2026, 3, 2, tzinfo=UTC)


class MoodyLeases:
    """The memory store, behind a connection that can fail, hang, or break in a way that nobody expects."""

    def __init__(self) -> None:
        self.database = MemoryDatabase(lambda: ORIGIN + timedelta(seconds=CLOCK.monotonic_seconds()), NumberedIds())
        self._inner = MemoryLeaseStore(self.database)
        self.mood = "fine"
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["MoodyLeases"]:
        self.opened += 1
        await self._suffer()
        yield self

    async def acquire_if_free(self, name: str, holder: str, lease_seconds: float) -> Lease:
        await self._suffer()
        return await self._inner.acquire_if_free(name, holder, lease_seconds)

    async def renew_if_held(self, name: str, epoch: Epoch, holder: str, lease_seconds: float) -> Lease | None:
        await self._suffer()
        return await self._inner.renew_if_held(name, epoch, holder, lease_seconds)

    async def release_if_held(self, name: str, epoch: Epoch, holder: str) -> bool:
        await self._suffer()
        return await self._inner.release_if_held(name, epoch, holder)

    async def read(self, name: str) -> Lease | None:
        return await self._inner.read(name)

    async def _suffer(self) -> None:
        if self.mood == "away":
            raise Unavailable("no connection")
        if self.mood == "hanging":
            await asyncio.Event().wait()
        if self.mood == "broken":
            raise Bug("a lease that cannot be")


class Hall:
    """Elections over one store; stopped when the test has ended."""

    def __init__(self) -> None:
        self.leases = MoodyLeases()
        self.wakeups = MemoryWakeups()
        self.tasks: list[asyncio.Task[None]] = []

    def election(self, holder: str = "me", lease_seconds: float = 0.6) -> Election:
        policy = LeadershipPolicy(
            "leader", holder, lease_seconds, margin_seconds=0.1, call_seconds_max=0.2, retry_seconds=0.03
        )
        return Election(policy, self.leases.open, self.wakeups, CLOCK, SystemRng(1))

    def start(self, election: Election) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(election.run()))
        return self.tasks[-1]

    async def leading(self, holder: str = "me", lease_seconds: float = 0.6) -> Election:
        election = self.election(holder, lease_seconds)
        self.start(election)
        await wait_until(lambda: election.fence() is not None, 5.0)
        return election


@pytest.fixture
async def hall() -> AsyncGenerator[Hall]:
    made = Hall()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_it_leads_and_goes_on_leading(hall: Hall) -> None:
    election = await hall.leading(lease_seconds=0.3)
    began = CLOCK.monotonic_seconds()
    await wait_until(lambda: CLOCK.monotonic_seconds() > began + 1.0)

    fence = election.fence()
    assert fence is not None
    assert fence.epoch == 1
    assert [change.gained for change in election.take_changes()] == [True]


async def test_resigning_frees_the_lease_and_wakes_the_standby(hall: Hall) -> None:
    first = await hall.leading("first", lease_seconds=5.0)
    second = hall.election("second", lease_seconds=5.0)
    hall.start(second)
    await wait_until(lambda: hall.leases.opened == 2)

    began = CLOCK.monotonic_seconds()
    await first.resign()
    assert first.fence() is None
    assert await wait_until(second.fence, 2.0)
    assert CLOCK.monotonic_seconds() - began < 0.5
    await asyncio.wait_for(hall.tasks[0], 1.0)


async def test_cancelling_resigns(hall: Hall) -> None:
    election = await hall.leading(lease_seconds=5.0)
    hall.tasks[0].cancel()
    await asyncio.gather(hall.tasks[0], return_exceptions=True)

    lease = await hall.leases.read("leader")
    assert lease is not None
    assert lease.remaining_seconds <= 0
    assert election.fence() is None


@pytest.mark.parametrize("mood", ["away", "hanging"])
async def test_trust_ends_by_itself_when_the_store_is_silent_and_comes_back_with_it(hall: Hall, mood: str) -> None:
    election = await hall.leading()
    hall.leases.mood = mood
    await wait_until(lambda: election.fence() is None, 2.0)
    opened = hall.leases.opened

    hall.leases.mood = "fine"
    await wait_until(lambda: election.fence() is not None, 3.0)
    assert hall.leases.opened >= opened
    reasons = [change.reason for change in election.take_changes() if not change.gained]
    assert reasons == ["it was not renewed in time"]


async def test_a_failed_connection_is_opened_anew(hall: Hall) -> None:
    hall.leases.mood = "away"
    election = hall.election()
    hall.start(election)
    await wait_until(lambda: hall.leases.opened >= 3, 3.0)
    assert election.fence() is None

    hall.leases.mood = "fine"
    await wait_until(lambda: election.fence() is not None, 3.0)
    assert election.fence() is not None


@pytest.mark.parametrize("mood", ["away", "hanging"])
async def test_resigning_takes_less_than_half_a_second_whatever_the_store_does(hall: Hall, mood: str) -> None:
    election = await hall.leading(lease_seconds=5.0)
    hall.leases.mood = mood
    began = CLOCK.monotonic_seconds()
    await election.resign()

    assert CLOCK.monotonic_seconds() - began < 0.5
    assert election.fence() is None


async def test_a_defect_in_the_thread_ends_trust_and_is_raised(hall: Hall) -> None:
    election = await hall.leading(lease_seconds=0.6)
    hall.leases.mood = "broken"

    with pytest.raises(Bug, match="cannot be"):
        await asyncio.wait_for(hall.tasks[0], 3.0)
    assert election.fence() is None


async def test_a_refused_fence_ends_trust_at_once(hall: Hall) -> None:
    election = await hall.leading(lease_seconds=5.0)
    election.refuse(Epoch(1))

    def lost() -> bool:
        return any(not change.gained for change in election.take_changes())

    assert await wait_until(lost, 1.0)


class ForgetfulEvents(MemoryEventStore):
    """Unavailable the first time."""

    failures_left = 1

    async def append(self, events: tuple[EventDraft, ...]) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise Unavailable("no connection")
        await super().append(events)


async def test_what_could_not_be_recorded_is_recorded_later_and_once(hall: Hall) -> None:
    election = hall.election()
    events = ForgetfulEvents(hall.leases.database)
    told = LeadershipEvents(election, events, CLOCK)
    changed = election.subscribe()
    hall.start(election)
    await asyncio.wait_for(changed.wait(), 3.0)
    with pytest.raises(Unavailable):
        await told.tell()
    await told.tell()
    await told.tell()

    stored = await events.after(EventFilter(None), None, 10)
    assert [(event.type, event.actor) for event in stored] == [("LeaderElected", "me")]
