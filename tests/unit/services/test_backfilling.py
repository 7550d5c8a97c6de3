"""The duty over the memory store, on virtual time."""

import asyncio
from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.backfill import Backfill
from rota.domain.ids import BackfillId, Epoch
from rota.domain.lease import Fence
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry, Tenant
from rota.domain.triggers import IntervalTrigger
from rota.services.backfilling import POLL_SECONDS, Backfilling
from rota.storage.memory.backfills import MemoryBackfillStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.leases import MemoryLeaseStore
from rota.storage.memory.wakeups import MemoryWakeups
from tests.contract.records import ACME, schedule, trigger
from tests.contract.stores import START, NumberedIds
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

MINUTE = timedelta(minutes=1)
AUDIT = AuditEntry("ada", "backfill", "schedule", "s")


class Killed(Exception):
    """A leader that dies between deciding and writing."""


class CountingSteps(MemoryBackfillStore):
    """Keeps how often it was looked at; dies in its nth step where the test says so."""

    looks = 0
    steps = 0
    dies_in: int | None = None

    async def next_in_seconds(self) -> float | None:
        self.looks += 1
        return await super().next_in_seconds()

    async def apply_step(self, *args: object, **named: object) -> bool:
        self.steps += 1
        if self.steps == self.dies_in:
            raise Killed
        return await super().apply_step(*args, **named)  # pyright: ignore[reportArgumentType]


class Led:
    """One leader after another over one store; its clock is the virtual one."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        began = self.clock.now
        self.database = MemoryDatabase(lambda: START + timedelta(seconds=self.clock.now - began), NumberedIds())
        self.database.tenants[ACME] = Tenant(ACME, "acme", START, "root")
        self.store = CountingSteps(self.database)
        self.wakeups = MemoryWakeups()

    async def start(self, minutes: int, rate: float) -> tuple[Schedule, Backfill]:
        spec = IntervalTrigger(every_seconds=60.0, start_at=START - minutes * MINUTE)
        of = schedule("s", triggers=(trigger(spec, None),))
        self.database.schedules[of.id] = of
        made = Backfill(
            id=BackfillId(self.database.new_id()),
            tenant_id=ACME,
            schedule_id=of.id,
            state="running",
            since=START - minutes * MINUTE,
            to=START - MINUTE,
            overlap="allow",
            priority=None,
            runs_per_minute_max=rate,
            triggers=of.triggers,
            total_count=minutes,
            created_at=START,
            created_by="ada",
            paced_at=START - timedelta(seconds=60 / rate),
            resume_at=START,
        )
        return of, await self.store.create(made, AUDIT)

    async def lead_for(self, seconds: float, holder: str = "me") -> None:
        taken = await MemoryLeaseStore(self.database).acquire_if_free("leader", holder, seconds)
        fence = Fence("leader", Epoch(taken.epoch), holder)
        duty = Backfilling(self.store, FixedLeadership(fence), self.wakeups, self.clock)
        running = asyncio.create_task(duty.run())
        await self.clock.run_for(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def runs_count(self) -> int:
        return len(self.database.runs_state.records)


async def test_runs_are_made_at_the_rate_and_then_it_is_quiet() -> None:
    led = Led()
    _, made = await led.start(minutes=10, rate=60.0)
    await led.lead_for(4.5)
    assert led.runs_count() in (5, 6)
    await led.lead_for(60.0)
    assert led.runs_count() == 10
    assert led.database.backfills[made.id].state == "finished"
    looks = led.store.looks
    await led.lead_for(100.0)
    assert led.store.looks - looks <= 100 / POLL_SECONDS + 2


@pytest.mark.parametrize("dies_in", [1, 2, 3])
async def test_the_next_leader_goes_on_where_one_died(dies_in: int) -> None:
    led = Led()
    _, made = await led.start(minutes=10, rate=60.0)
    led.store.dies_in = dies_in
    await led.lead_for(30.0, "first")
    assert led.runs_count() == dies_in - 1
    await led.lead_for(60.0, "second")
    fired = sorted(run.fire_at for run in led.database.runs_state.records.values() if run.fire_at is not None)
    assert fired == [START - n * MINUTE for n in range(10, 0, -1)]
    ended = led.database.backfills[made.id]
    assert (ended.state, ended.created_count) == ("finished", 10)


async def test_a_schedule_that_changes_all_the_time_costs_no_more_than_a_look_a_second() -> None:
    led = Led()
    of, made = await led.start(minutes=10, rate=60_000.0)

    async def changed_meanwhile(*_: object) -> bool:
        return False

    led.store.apply_step = changed_meanwhile  # pyright: ignore[reportAttributeAccessIssue]
    await led.lead_for(20.0)
    assert led.store.looks <= 21
    assert structs.replace(led.database.backfills[made.id]) == made
    assert led.database.schedules[of.id] == of
