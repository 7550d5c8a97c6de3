"""What the leader tells of its looks, on virtual time."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from rota.domain.cycle import CheckReport, CheckSums, CheckTotals, DueCounts
from rota.domain.errors import Unavailable
from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.services.check_cycles import TELLING_IDLE_SECONDS, CheckNotes, CheckTelling
from rota.services.supervision import Duty, Supervisor
from rota.storage.memory.cycles import MemoryCycleStore
from rota.storage.memory.database import MemoryDatabase
from rota.telemetry.metrics import Metrics
from tests.contract.stores import START, NumberedIds
from tests.unit.core.values import LoadedDice
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

FENCE, NEXT = Fence("leader", Epoch(1), "me"), Fence("leader", Epoch(2), "me")
FIRED = {"cron": DueCounts(2, 1, 0, 1)}


class Desk:
    """A teller with its store, which may be away."""

    def __init__(self, fence: Fence | None = FENCE) -> None:
        self.clock = VirtualClock()
        self.database = MemoryDatabase(lambda: START + timedelta(seconds=self.clock.now), NumberedIds())
        self.store = MemoryCycleStore(self.database)
        self.reports: list[CheckReport] = []
        self.is_away = False
        self.leadership = FixedLeadership(fence)
        self.metrics = Metrics()
        self.notes = CheckNotes(self.metrics)
        self.telling = CheckTelling(self.notes, self, self.leadership, self.clock)

    async def record(self, report: CheckReport) -> CheckTotals:
        if self.is_away:
            raise Unavailable("away")
        self.reports.append(report)
        return await self.store.record(report)

    async def totals(self) -> CheckTotals:
        return await self.store.totals()

    async def every(self, seconds: float, times: int, look: Callable[[], None]) -> None:
        for _ in range(times):
            look()
            await self.clock.run_for(seconds)

    def fire(self) -> None:
        self.notes.found(FIRED)
        self.notes.checked(0.01, is_cycle=True, lag_seconds=0.5)
        self.notes.paced(1.3, "idle", 0.02)

    def look(self) -> None:
        self.notes.checked(0.001, is_cycle=False)
        self.notes.paced(1.3, "idle", 1.3)


@asynccontextmanager
async def telling(desk: Desk) -> AsyncGenerator[None]:
    supervisor = Supervisor((Duty("check cycles", desk.telling.run),), desk.clock, LoadedDice())
    supervisor.start()
    await desk.clock.run_for(0)
    try:
        yield
    finally:
        await supervisor.stop()


async def test_what_was_due_is_told_at_once_and_once_a_second_under_load() -> None:
    desk = Desk()
    async with telling(desk):
        desk.fire()
        await desk.clock.run_for(0.01)
        assert [one.sums.by_kind for one in desk.reports] == [FIRED]
        await desk.every(0.01, 1_000, desk.fire)
    assert 10 <= len(desk.reports) <= 12
    await desk.telling.tell()
    assert sum(one.sums.cycles_count for one in desk.reports) == 1_001
    assert (await desk.store.totals()).sums.by_kind == {"cron": DueCounts(2_002, 1_001, 0, 1_001)}


async def test_idle_looks_are_told_once_a_minute() -> None:
    desk = Desk()
    async with telling(desk):
        await desk.every(1.0, round(5 * TELLING_IDLE_SECONDS), desk.look)
    assert 4 <= len(desk.reports) <= 5
    assert all(one.sums.checks_count >= 59 and not one.sums.by_kind for one in desk.reports)


async def test_who_does_not_lead_and_looks_at_nothing_tells_nothing() -> None:
    desk = Desk(None)
    async with telling(desk):
        await desk.clock.run_for(600)
    assert not desk.reports


async def test_what_could_not_be_stored_is_told_with_the_next() -> None:
    desk = Desk()
    async with telling(desk):
        desk.is_away = True
        await desk.every(1.0, 20, desk.fire)
        assert not desk.reports
        desk.is_away = False
        await desk.clock.run_for(5)
    assert (len(desk.reports), desk.reports[0].sums.checks_count) == (1, 20)


async def test_the_end_of_a_term_has_its_sums_and_the_next_begins_anew() -> None:
    desk = Desk()
    async with telling(desk):
        await desk.every(1.5, 3, desk.fire)
        desk.fire()
        desk.leadership.change(None)
        await desk.clock.run_for(2)
        assert desk.telling.facts_of_term(Epoch(1)) == {
            "checks_count": 4,
            "failed_checks_count": 0,
            "cycles_count": 4,
            "found": 8,
            "executed": 4,
            "failed": 0,
            "skipped": 4,
            "refused": 0,
        }
        desk.leadership.change(NEXT)
        await desk.clock.run_for(0.1)
        await desk.every(1.5, 1, desk.fire)
    assert desk.reports[-1].epoch == 2
    assert desk.telling.facts_of_term(Epoch(2))["found"] == 2
    assert desk.telling.facts_of_term(Epoch(1)) == {}


async def test_another_interval_is_told_once() -> None:
    desk = Desk()
    async with telling(desk):
        await desk.every(2.0, 1, desk.fire)
        desk.notes.paced(0.25, "followed", 0.1)
        desk.notes.found(FIRED)
        desk.notes.checked(0.01, is_cycle=True)
        await desk.clock.run_for(2.0)
        desk.notes.checked(0.01, is_cycle=True)
        await desk.clock.run_for(2.0)
    assert [(one.interval_seconds, one.interval_before_seconds) for one in desk.reports] == [
        (1.3, None),
        (0.25, 1.3),
        (0.25, None),
    ]


async def test_metrics_tell_looks_and_lag_and_forget_it_with_the_term() -> None:
    desk = Desk()
    async with telling(desk):
        desk.fire()
        desk.notes.failed()
        text = desk.metrics.exposition().decode()
        assert 'rota_checks_total{outcome="due"} 1.0' in text
        assert 'rota_checks_total{outcome="failed"} 1.0' in text
        assert "rota_firing_lag_seconds 0.5" in text
        assert "rota_leading 1.0" in text
        desk.leadership.change(None)
        await desk.clock.run_for(2)
    text = desk.metrics.exposition().decode()
    assert "rota_firing_lag_seconds 0.0" in text
    assert "rota_leading 0.0" in text
    assert desk.reports[0].sums == CheckSums(2, 1, 1, 0.01, 0.01, FIRED)


async def test_looks_before_the_term_is_heard_of_are_not_lost() -> None:
    desk = Desk()
    desk.fire()
    await desk.telling.tell()
    assert not desk.reports
    async with telling(desk):
        await desk.clock.run_for(1)
    assert len(desk.reports) == 1
