"""The leader's round over the memory stores, on virtual time."""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace as changed

from rota.core.leadership import LeadershipPolicy
from rota.domain.errors import Stale, Unavailable
from rota.domain.firing import DueBatch, DuePosition, TriggerAdvance
from rota.domain.ids import Epoch, RunId, WorkerId
from rota.domain.lease import Fence
from rota.domain.policies import Policies
from rota.domain.schedule import Schedule
from rota.domain.triggers import IntervalTrigger, Trigger
from rota.domain.worker import WorkerSpec
from rota.ports.firing_store import FiringResult, LeaderLook
from rota.ports.run_store import LostAttempt
from rota.services.firing import TRIGGERS_PER_BATCH_MAX, Firing
from rota.services.full_looks import FULL_LOOK_SECONDS
from rota.services.leading import POLL_SECONDS, Leading
from rota.services.rescuing import OVERDUE_GRACE_SECONDS, Rescuing
from rota.services.supervision import Supervisor
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.firing import MemoryFiringStore
from rota.storage.memory.leases import MemoryLeaseStore
from rota.storage.memory.run_claims import MemoryRunClaims
from rota.storage.memory.workers import MemoryWorkerStore
from tests.contract.records import schedule as recorded
from tests.contract.records import trigger as with_times
from tests.contract.stores import START, NumberedIds
from tests.unit.core.values import LoadedDice
from tests.unit.services.virtual_time import FixedLeadership, LoudWakeups, VirtualClock

FENCE = Fence("leader", Epoch(1), "me")


class CountingStore:
    """A firing store that keeps what was asked, and fails when told to."""

    def __init__(self, inner: MemoryFiringStore) -> None:
        self._inner = inner
        self.looks = 0
        self.full_looks = 0
        self.spans: list[tuple[float | None, datetime | None]] = []
        self.look_fails_with: Exception | None = None
        self.look_for_overdue_fails_with: Exception | None = None
        self.limits: list[int] = []
        self.applied: list[int] = []
        self.fails_with: Exception | None = None

    async def look(self, overdue_grace_seconds: float | None, overdue_since: datetime | None = None) -> LeaderLook:
        self.looks += 1
        self.spans.append((overdue_grace_seconds, overdue_since))
        if self.look_fails_with is not None:
            raise self.look_fails_with
        if self.look_for_overdue_fails_with is not None and overdue_grace_seconds is not None:
            raise self.look_for_overdue_fails_with
        return await self._inner.look(overdue_grace_seconds, overdue_since)

    async def look_fully(self) -> None:
        self.full_looks += 1
        await self._inner.look_fully()

    async def due_triggers(self, limit: int, after: DuePosition | None = None) -> DueBatch:
        self.limits.append(limit)
        return await self._inner.due_triggers(limit, after)

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        if self.fails_with is not None:
            raise self.fails_with
        self.applied.append(len(advances))
        return await self._inner.apply(fence, advances)


class FailingClaims(MemoryRunClaims):
    """Claims among which nobody finds what is lost, when told so."""

    def __init__(self, database: MemoryDatabase, fails: Callable[[], bool]) -> None:
        super().__init__(database)
        self._fails = fails

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        if self._fails():
            raise Unavailable("statement timeout")
        return await super().find_lost(grace_seconds, limit, overdue_since)


class Desk:
    """Everything around one leader."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.shift_seconds = 0.0
        self.rescues_fail = False
        self.database = MemoryDatabase(
            lambda: START + timedelta(seconds=self.clock.now - 1000.0 + self.shift_seconds), NumberedIds()
        )
        self.store = CountingStore(MemoryFiringStore(self.database))
        self.claims = FailingClaims(self.database, lambda: self.rescues_fail)
        self.workers = MemoryWorkerStore(self.database)
        self.leadership = FixedLeadership(None)
        self.wakeups = LoudWakeups()
        self.firing = Firing(self.store, self.leadership, self.wakeups)
        self.rescuing = Rescuing(self.workers, self.claims, self.wakeups, LoadedDice())
        self.leading = Leading(self.store, self.firing, self.rescuing, self.leadership, self.wakeups, clock=self.clock)
        self.supervisor = Supervisor(self.leading.duties, self.clock, LoadedDice())

    async def lead(self) -> None:
        await MemoryLeaseStore(self.database).acquire_if_free("leader", "me", 1e6)
        self.leadership.change(FENCE)

    def start(self) -> None:
        self.supervisor.start()

    def schedule(self, spec: Trigger, due_in: float, **policies: object) -> Schedule:
        state = with_times(spec, self.database.now() + timedelta(seconds=due_in))
        made = recorded(f"s{len(self.database.schedules)}", triggers=(state,))
        made = changed(made, policies=changed(Policies(overlap="allow"), **policies))
        self.database.schedules[made.id] = made
        return made

    @property
    def held(self) -> set[RunId]:
        return {live.run_id for live in self.database.runs_state.held()}

    @property
    def runs(self) -> int:
        return len(self.database.runs_state.live)


@pytest.fixture
async def desk() -> AsyncGenerator[Desk]:
    made = Desk()
    yield made
    await made.supervisor.stop()


async def test_who_does_not_lead_asks_the_store_nothing(desk: Desk) -> None:
    desk.schedule(IntervalTrigger(every_seconds=1), due_in=-1)
    desk.start()
    await desk.clock.run_for(300)

    assert (desk.store.looks, desk.runs) == (0, 0)


async def test_an_idle_leader_stays_below_two_queries_a_second_renewals_included(desk: Desk) -> None:
    await desk.lead()
    desk.start()
    await desk.clock.run_for(600)

    renewals_per_second = 1 / LeadershipPolicy("leader", "me").renew_seconds
    assert desk.store.looks > 100
    assert desk.store.looks / 600 + renewals_per_second <= 2.0


async def test_a_due_time_fires_when_it_comes_and_tells_the_queue(desk: Desk) -> None:
    desk.schedule(IntervalTrigger(every_seconds=3600), due_in=0.7, queue="slow")
    await desk.lead()
    desk.start()
    await desk.clock.run_for(0.69)
    assert desk.runs == 0

    await desk.clock.run_for(0.03)
    assert desk.runs == 1
    assert desk.wakeups.announced == ["queue:slow"]


async def test_a_new_schedule_wakes_the_leader(desk: Desk) -> None:
    await desk.lead()
    desk.start()
    await desk.clock.run_for(0.5)
    desk.schedule(IntervalTrigger(every_seconds=3600), due_in=0.1)
    desk.wakeups.events["schedules"].set()
    await desk.clock.run_for(0.15)

    assert desk.runs == 1


async def test_many_wakeups_are_one_look(desk: Desk) -> None:
    await desk.lead()
    desk.start()
    await desk.clock.run_for(0.1)
    before = desk.store.looks
    for _ in range(100):
        desk.wakeups.events["schedules"].set()
        await desk.clock.run_for(0.001)

    assert desk.store.looks - before <= 6


async def test_taking_over_catches_up_at_once(desk: Desk) -> None:
    desk.schedule(IntervalTrigger(every_seconds=1, start_at=START - timedelta(hours=1)), due_in=-100)
    desk.start()
    await desk.clock.run_for(5)
    await desk.lead()
    await desk.clock.run_for(0.05)

    assert desk.runs == 106


async def test_more_than_one_batch_is_fired_in_one_go(desk: Desk) -> None:
    for _ in range(TRIGGERS_PER_BATCH_MAX + 5):
        desk.schedule(IntervalTrigger(every_seconds=3600), due_in=-1)
    await desk.lead()
    summary = await desk.firing.fire_due()

    assert (summary.runs_created, summary.batches) == (TRIGGERS_PER_BATCH_MAX + 5, 2)


async def test_a_stale_fence_ends_the_term_and_fires_nothing(desk: Desk) -> None:
    desk.schedule(IntervalTrigger(every_seconds=1), due_in=-1)
    await desk.lead()
    desk.store.fails_with = Stale("epoch 1 has ended")
    await desk.firing.fire_due()

    assert desk.leadership.refused == [Epoch(1)]
    assert desk.runs == 0


async def test_a_batch_that_is_too_much_becomes_smaller_and_grows_again(desk: Desk) -> None:
    desk.schedule(IntervalTrigger(every_seconds=1), due_in=-1)
    await desk.lead()
    desk.store.fails_with = Unavailable("statement timeout")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await desk.firing.fire_due()
    desk.store.fails_with = None
    for _ in range(2):
        await desk.firing.fire_due()

    assert desk.store.limits == [1000, 500, 250, 125, 250]


async def test_a_trigger_that_nobody_may_fire_does_not_make_the_leader_spin(desk: Desk) -> None:
    made = desk.schedule(IntervalTrigger(every_seconds=1), due_in=-1)
    desk.database.schedules[made.id] = changed(made, enabled=False)
    await desk.lead()
    desk.start()
    await desk.clock.run_for(60)

    assert desk.store.looks < 60 / POLL_SECONDS + 15


async def test_runs_of_a_lost_worker_are_queued_again_within_the_bound(desk: Desk) -> None:
    desk.schedule(IntervalTrigger(every_seconds=3600), due_in=-1)
    await desk.lead()
    await desk.firing.fire_due()
    worker = WorkerId("40000000-0000-7000-8000-000000000001")
    await desk.workers.register(WorkerSpec(worker, "w", ("default",), 1, (), "host", 1, "1"), 3.5)
    (claimed,) = await desk.claims.claim_batch(worker, ["default"], 1)
    desk.start()
    await desk.clock.run_for(5.0)

    live = desk.database.runs_state.live[claimed.run_id]
    assert (live.state, live.losses_count) == ("queued", 1)
    assert desk.wakeups.announced[-1] == "queue:default"


async def test_looks_for_overdue_attempts_begin_where_the_last_one_ended(desk: Desk) -> None:
    await desk.lead()
    desk.start()
    await desk.clock.run_for(10.0)

    first, *others = desk.store.spans
    assert first == (None, None)
    assert {grace for grace, _ in others} == {OVERDUE_GRACE_SECONDS}
    floors = [since for _, since in others if since is not None]
    assert floors == sorted(set(floors))
    assert len(floors) == len(others) >= 7


async def test_an_overdue_attempt_is_ended_whether_or_not_it_was_overdue_before_this_leader(desk: Desk) -> None:
    worker = WorkerId("40000000-0000-7000-8000-000000000001")
    await desk.workers.register(WorkerSpec(worker, "w", ("default",), 1, (), "host", 1, "1"), 1e6)
    for _ in range(2):
        desk.schedule(IntervalTrigger(every_seconds=1e6), due_in=-1, timeout_seconds=5.0)
    await desk.lead()
    await desk.firing.fire_due()
    (before,) = await desk.claims.claim_batch(worker, ["default"], 1)
    await desk.clock.run_for(60)
    desk.start()
    await desk.clock.run_for(1.0)
    assert before.run_id not in desk.held

    (after,) = await desk.claims.claim_batch(worker, ["default"], 1)
    await desk.clock.run_for(14.9)
    assert after.run_id in desk.held
    await desk.clock.run_for(POLL_SECONDS + 0.2)
    assert after.run_id not in desk.held


async def test_a_clock_that_is_set_back_hides_no_overdue_attempt(desk: Desk) -> None:
    worker = WorkerId("40000000-0000-7000-8000-000000000001")
    await desk.workers.register(WorkerSpec(worker, "w", ("default",), 1, (), "host", 1, "1"), 1e6)
    desk.schedule(IntervalTrigger(every_seconds=1e6), due_in=-4_000, timeout_seconds=5.0)
    await desk.lead()
    desk.start()
    await desk.clock.run_for(5.0)
    assert desk.runs == 1
    desk.shift_seconds = -3_600.0
    # Has been renewed before the leader looks, so that nothing else calls for a rescue.
    desk.database.runs_state.workers[worker].heartbeat_at = desk.database.now()
    await desk.clock.run_for(POLL_SECONDS)
    for live in desk.database.runs_state.live.values():
        live.due_at = desk.database.now()
    (claimed,) = await desk.claims.claim_batch(worker, ["default"], 1)
    await desk.clock.run_for(5.0 + OVERDUE_GRACE_SECONDS + POLL_SECONDS + 0.2)

    assert claimed.run_id not in desk.held


async def test_firing_goes_on_while_looks_for_lost_work_fail(desk: Desk) -> None:
    """Those of the round, and those that rescue."""
    desk.schedule(IntervalTrigger(every_seconds=1), due_in=1)
    worker = WorkerId("40000000-0000-7000-8000-000000000001")
    await desk.workers.register(WorkerSpec(worker, "w", ("default",), 1, (), "host", 1, "1"), 3.5)
    desk.store.look_for_overdue_fails_with = Unavailable("statement timeout")
    desk.rescues_fail = True
    await desk.lead()
    desk.start()
    await desk.clock.run_for(120)
    assert desk.runs >= 115

    desk.store.look_for_overdue_fails_with, desk.rescues_fail = None, False
    await desk.clock.run_for(10)
    assert desk.database.runs_state.workers[worker].state == "lost"


async def test_a_failed_look_and_a_changed_schedule_are_followed_by_a_full_look(desk: Desk) -> None:
    await desk.lead()
    desk.start()
    await desk.clock.run_for(FULL_LOOK_SECONDS / 2)
    assert desk.store.full_looks == 1
    desk.wakeups.events["schedules"].set()
    await desk.clock.run_for(FULL_LOOK_SECONDS / 4)
    assert desk.store.full_looks == 2
    desk.store.look_fails_with = Unavailable("away")
    await desk.clock.run_for(POLL_SECONDS)
    desk.store.look_fails_with = None
    await desk.clock.run_for(5.0)
    assert desk.store.full_looks >= 3
