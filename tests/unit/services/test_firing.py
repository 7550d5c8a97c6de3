"""What the lanes of one call share, over the memory stores."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace as changed

from rota.domain.errors import Unavailable
from rota.domain.firing import DueBatch, DuePosition, TriggerAdvance
from rota.domain.ids import Epoch, ScheduleId
from rota.domain.lease import Fence
from rota.domain.policies import Policies
from rota.domain.schedule import TriggerState
from rota.domain.triggers import IntervalTrigger
from rota.ports.firing_store import FiringResult, LeaderLook
from rota.services.firing import BATCHES_PER_CALL_MAX, LANES, TRIGGERS_PER_BATCH_MAX, Firing
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.firing import MemoryFiringStore
from rota.storage.memory.leases import MemoryLeaseStore
from rota.telemetry.metrics import Metrics
from tests.contract.records import schedule as recorded
from tests.contract.records import trigger
from tests.contract.stores import START, NumberedIds
from tests.support.waiting import wait_until
from tests.unit.services.virtual_time import FixedLeadership, LoudWakeups

HOURLY = IntervalTrigger(every_seconds=3600)


class GatedStore:
    """A firing store whose `apply` waits for the test, and which knows what is being applied."""

    def __init__(self, inner: MemoryFiringStore) -> None:
        self._inner = inner
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way: list[set[ScheduleId]] = []
        self.overlaps = 0
        self.most_at_once = 0
        self.reads = 0
        self.fails_once: Exception | None = None

    async def look(self, overdue_grace_seconds: float | None, overdue_since: datetime | None = None) -> LeaderLook:
        return await self._inner.look(overdue_grace_seconds, overdue_since)

    async def look_fully(self) -> None:
        await self._inner.look_fully()

    async def due_triggers(self, limit: int, after: DuePosition | None = None) -> DueBatch:
        self.reads += 1
        return await self._inner.due_triggers(limit, after)

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        mine = {advance.schedule_id for advance in advances}
        self.overlaps += any(mine & others for others in self.under_way)
        self.under_way.append(mine)
        self.most_at_once = max(self.most_at_once, len(self.under_way))
        try:
            await self.gate.wait()
            if self.fails_once is not None:
                failure, self.fails_once = self.fails_once, None
                raise failure
            return await self._inner.apply(fence, advances)
        finally:
            self.under_way.remove(mine)


class Desk:
    """Firing over schedules in memory, by a process that leads."""

    def __init__(self) -> None:
        self.database = MemoryDatabase(lambda: START, NumberedIds())
        self.store = GatedStore(MemoryFiringStore(self.database))
        self.firing = Firing(self.store, FixedLeadership(Fence("leader", Epoch(1), "me")), LoudWakeups())

    def schedules(self, count: int, *, triggers: int = 1, **policies: object) -> None:
        for _ in range(count):
            name = f"s{len(self.database.schedules)}"
            states: tuple[TriggerState, ...] = tuple(trigger(HOURLY, START) for _ in range(triggers))
            made = recorded(name, triggers=states)
            made = changed(made, policies=changed(Policies(overlap="allow"), **policies))
            self.database.schedules[made.id] = made

    @property
    def runs(self) -> int:
        return len(self.database.runs_state.live)


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await MemoryLeaseStore(made.database).acquire_if_free("leader", "me", 1e6)
    return made


async def test_one_batch_is_read_while_another_is_applied(desk: Desk) -> None:
    desk.schedules(3 * TRIGGERS_PER_BATCH_MAX)
    desk.store.gate.clear()
    firing = asyncio.create_task(desk.firing.fire_due())
    await wait_until(lambda: len(desk.store.under_way) == LANES, what="every lane to apply a batch")
    desk.store.gate.set()
    summary = await firing

    assert (summary.runs_created, summary.batches, summary.is_done) == (3 * TRIGGERS_PER_BATCH_MAX, 3, True)
    assert desk.store.most_at_once == LANES


async def test_a_schedule_is_never_in_two_lanes_and_its_second_trigger_sees_the_first_ones_run(desk: Desk) -> None:
    """Every schedule's two triggers are due, the second ones behind all first ones."""
    desk.schedules(TRIGGERS_PER_BATCH_MAX + 10, triggers=2, overlap="skip")
    for made in list(desk.database.schedules.values()):
        first, second = made.triggers
        moved = changed(second, next_fire_at=START), changed(first, next_fire_at=START - timedelta(seconds=1))
        desk.database.schedules[made.id] = changed(made, triggers=moved)
    desk.store.gate.clear()
    firing = asyncio.create_task(desk.firing.fire_due())
    await wait_until(lambda: len(desk.store.under_way) == LANES, what="every lane to apply a batch")
    desk.store.gate.set()
    first = await firing
    second = await desk.firing.fire_due()

    assert (desk.store.overlaps, desk.store.most_at_once) == (0, LANES)
    assert first.runs_created == TRIGGERS_PER_BATCH_MAX + 10
    assert (second.runs_created, first.runs_skipped + second.runs_skipped) == (0, TRIGGERS_PER_BATCH_MAX + 10)


async def test_a_failure_lets_the_other_lanes_finish_and_begins_no_further_batch(desk: Desk) -> None:
    desk.schedules(6 * TRIGGERS_PER_BATCH_MAX)
    desk.store.fails_once = Unavailable("statement timeout")
    desk.store.gate.clear()
    firing = asyncio.create_task(desk.firing.fire_due())
    await wait_until(lambda: len(desk.store.under_way) == LANES, what="every lane to apply a batch")
    desk.store.gate.set()
    with pytest.raises(Unavailable):
        await firing

    assert desk.runs == (LANES - 1) * TRIGGERS_PER_BATCH_MAX
    assert desk.store.reads <= LANES + 1


async def test_a_call_is_bounded_and_says_that_more_is_due(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.services.firing.TRIGGERS_PER_BATCH_MAX", 10)
    desk.firing = Firing(desk.store, FixedLeadership(Fence("leader", Epoch(1), "me")), LoudWakeups())
    desk.schedules(10 * BATCHES_PER_CALL_MAX + 5)
    first = await desk.firing.fire_due()
    second = await desk.firing.fire_due()

    assert (first.batches, first.is_done) == (BATCHES_PER_CALL_MAX, False)
    assert (second.runs_created, second.is_done) == (5, True)


async def test_cancelling_leaves_no_lane_behind(desk: Desk) -> None:
    desk.schedules(2 * TRIGGERS_PER_BATCH_MAX)
    desk.store.gate.clear()
    firing = asyncio.create_task(desk.firing.fire_due())
    await wait_until(lambda: len(desk.store.under_way) == LANES, what="every lane to apply a batch")
    firing.cancel()
    await asyncio.gather(firing, return_exceptions=True)

    assert desk.store.under_way == []


async def test_what_was_fired_late_skipped_and_missed_is_counted(desk: Desk) -> None:
    metrics = Metrics()
    leads = FixedLeadership(Fence("leader", Epoch(1), "me"))
    firing = Firing(desk.store, leads, LoudWakeups(), metrics)
    for name, policies in (
        ("punctual", Policies()),
        ("late", Policies(misfire_grace_seconds=60.0)),
        ("given up", Policies(misfire="skip", misfire_grace_seconds=60.0)),
    ):
        first = START if name == "punctual" else START - 3 * timedelta(hours=1)
        every = IntervalTrigger(every_seconds=7200.0, start_at=START - 3 * timedelta(hours=1))
        made = recorded(name, triggers=(trigger(HOURLY if name == "punctual" else every, first),))
        desk.database.schedules[made.id] = changed(made, policies=policies)
    await firing.fire_due()
    shown = metrics.exposition().decode()
    counts = {
        outcome: float(shown.split(f'rota_fires_total{{outcome="{outcome}"}} ')[1].split("\n")[0])
        for outcome in ("fired", "late", "skipped", "missed")
    }
    assert counts == {"fired": 2.0, "late": 1.0, "skipped": 1.0, "missed": 2.0}
