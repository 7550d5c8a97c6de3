"""Leases, settlements and lines against a store that is slow, away, or says no."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, cast

import pytest

from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng
from rota.domain.errors import Stale, Unavailable
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.domain.targets import TaskTarget
from rota.domain.worker import Renewal, WorkerSpec
from rota.ports.fan_out_store import FanOutPlans
from rota.ports.run_store import RunClaims, SettleResult
from rota.ports.worker_store import WorkerStore
from rota.storage.memory.wakeups import MemoryWakeups
from rota.worker.lease_keeping import LeaseKeeper
from rota.worker.log_shipping import BUFFER_LINES_MAX, LogShipper
from rota.worker.options import WorkerOptions
from rota.worker.session_words import CancelAsked, Event, Tick, WorkDueIn, WorkHinted
from rota.worker.settling import Settler
from rota.worker.worker_ports import WorkerPorts
from tests.support.waiting import loop_sleep, wait_until

ME = WorkerId("me")
SPEC = WorkerSpec(ME, "me", ("default",), 1, (), "host", 1, "0")
OPTIONS = WorkerOptions(lease_seconds=3.5, renew_seconds=1.1, margin_seconds=0.5)


class FastClock:
    """Sleeping takes no time and moves the clock; everything else is the test's."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic_seconds(self) -> float:
        return self.now

    def wall_ns(self) -> int:
        return 1_772_366_400_000_000_000

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await loop_sleep(0)


class Workers:
    """Answers with what the test lined up; an exception is raised. Each call takes `takes` seconds of the clock."""

    def __init__(self, clock: FastClock, *answers: object, takes: float = 0.0) -> None:
        self.clock, self.answers, self.takes = clock, list(answers), takes
        self.asked_at: list[float] = []

    async def register(self, *_: object) -> None:
        self._answer()

    async def renew_if_live(self, *_: object) -> object:
        return self._answer()

    def _answer(self) -> object:
        self.asked_at.append(self.clock.now)
        self.clock.now += self.takes
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Keeping:
    """A lease keeper and what it told."""

    def __init__(self, *answers: object, takes: float = 0.0) -> None:
        self.clock = FastClock()
        self.workers = Workers(self.clock, *answers, takes=takes)
        wakeups = MemoryWakeups()
        # Awake at once, so that the pause between renewals is the clock's alone.
        ports = WorkerPorts(
            cast("RunClaims", None),
            cast("WorkerStore", self.workers),
            wakeups,
            self.clock,
            SystemRng(1),
            SystemIds(),
            cast("FanOutPlans", None),
        )
        self.keeper = LeaseKeeper(ME, OPTIONS, ports)
        self.trusted: list[float] = []
        self.events: list[Event] = []
        self.refused: list[str] = []
        self._wakeups = wakeups

    async def keep(self) -> None:
        """Until the lease is refused, or the answers have run out."""
        keeping = asyncio.create_task(self.keeper.keep(self.trusted.append, self.refused.append, self._hear))
        while not keeping.done():
            self._wakeups.announce("cancel")
            await loop_sleep(0)
        await keeping

    def _hear(self, event: Event) -> None:
        self.events.append(event)


async def test_a_slow_answer_does_not_stretch_the_trust() -> None:
    keeping = Keeping(Renewal(3.5), None, takes=0.9)
    await keeping.keep()
    assert keeping.trusted == [keeping.workers.asked_at[0] + 3.0]
    assert keeping.refused == ["the store says that it has ended"]


async def test_registering_counts_from_its_sending_and_is_repeated_with_growing_pauses() -> None:
    keeping = Keeping(Unavailable("away"), Unavailable("away"), None, takes=0.25)
    trusted_until = await keeping.keeper.register(SPEC)
    first, second, third = keeping.workers.asked_at
    assert trusted_until == third + 3.0
    assert (round(second - first, 3), round(third - second, 3)) == (0.55, 0.85)


async def test_a_refused_registration_is_told() -> None:
    with pytest.raises(Stale):
        await Keeping(Stale("ended")).keeper.register(SPEC)


async def test_an_error_prolongs_nothing_and_ends_nothing() -> None:
    keeping = Keeping(Unavailable("away"), Renewal(3.5), None)
    await keeping.keep()
    assert keeping.trusted == [keeping.workers.asked_at[1] + 3.0]
    assert keeping.events == [Tick(), Tick()]


async def test_what_a_renewal_says_becomes_events() -> None:
    keeping = Keeping(Renewal(3.5, ("a", "b"), work_is_due=True, next_due_in_seconds=0.0), None)
    await keeping.keep()
    assert keeping.events == [CancelAsked(("a", "b")), WorkHinted(), WorkDueIn(0.0)]


async def test_a_storm_of_cancellations_is_answered_by_few_renewals() -> None:
    keeping = Keeping(Renewal(3.5), Renewal(3.5), Renewal(3.5), None)
    await keeping.keep()
    asked = keeping.workers.asked_at
    assert all(later - earlier >= 0.199 for earlier, later in pairwise(asked))


def claimed(number: int = 1) -> ClaimedRun:
    return ClaimedRun(
        RunId(f"run-{number}"),
        TenantId("acme"),
        AttemptToken(number),
        1,
        TaskTarget("t"),
        RunPolicy(),
        "default",
        datetime(2026, 3, 1, tzinfo=UTC),
    )


class Claims:
    """Keeps what it is told; the next `away` calls fail; `gate` holds settlements up."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.told: list[tuple[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        batch = [settlement.run_id for settlement in settlements]
        await self.gate.wait()
        self._fail_while_away()
        self.told.append(("settle", batch))
        freed = {"run-7": ("slow",)}
        return tuple(
            SettleResult(run_id, accepted=run_id != "run-13", startable_queues=freed.get(run_id, ()))
            for run_id in batch
        )

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        self._fail_while_away()
        assert set(tenants) <= {TenantId("acme")}
        self.told.append(("lines", [(line.run_id, line.seq, line.text) for line in lines]))

    def _fail_while_away(self) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("away")


class Picky(Claims):
    """Cannot keep what it is told of run 2, so many times."""

    def __init__(self, refusals_max: int) -> None:
        super().__init__()
        self.refusals_left = refusals_max

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        if self.refusals_left and any(settlement.run_id == "run-2" for settlement in settlements):
            self.refusals_left -= 1
            raise ValueError("no JSON")
        if settlements[0].verb == "fail":
            self.told.append(("settle", [f"{settlements[0].run_id} fail"]))
            return (SettleResult(settlements[0].run_id, accepted=True),)
        return await super().settle_batch(settlements)


class Desk:
    """The two writers over one store, running."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        clock = FastClock()
        self.lines = LogShipper(cast("RunClaims", claims), clock)
        self.wakeups = MemoryWakeups()
        self.settler = Settler(cast("RunClaims", claims), self.lines, self.wakeups, clock)

    async def during(self, act: Callable[[], None], done: Callable[[], bool]) -> list[tuple[str, Any]]:
        loops = [asyncio.create_task(self.settler.run()), asyncio.create_task(self.lines.run())]
        act()
        await wait_until(done, 5)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        return self.claims.told


def settlement(number: int) -> Settlement:
    return Settlement(RunId(f"run-{number}"), AttemptToken(number), "succeed", "succeeded")


async def test_queues_in_which_a_run_became_startable_are_announced() -> None:
    desk = Desk(Claims())
    slow, other = desk.wakeups.subscribe("queue:slow"), desk.wakeups.subscribe("queue:default")
    await desk.during(lambda: desk.settler.add(settlement(7)), slow.is_set)
    assert (slow.is_set(), other.is_set()) == (True, False)


async def test_settlements_are_told_again_until_the_store_answers() -> None:
    desk = Desk(Claims(away=3))
    told = await desk.during(lambda: desk.settler.add(settlement(1)), lambda: len(desk.claims.told) == 1)
    assert told == [("settle", ["run-1"])]
    await desk.settler.wait_idle()


@pytest.mark.parametrize("refusals_max", [2, 1_000])
async def test_an_end_that_the_store_cannot_keep_is_stored_as_a_failure_and_takes_no_other_along(
    refusals_max: int,
) -> None:
    """Where not even that can be kept, the fault is not the end's: the worker ends."""
    desk = Desk(Picky(refusals_max))
    loop = asyncio.create_task(desk.settler.run())
    for number in (1, 2, 3):
        desk.settler.add(settlement(number))
    idle = asyncio.create_task(desk.settler.wait_idle())

    ended, _ = await asyncio.wait([loop, idle], timeout=5, return_when=asyncio.FIRST_COMPLETED)

    assert ended == ({idle} if refusals_max == 2 else {loop})
    told = [("settle", ["run-1"]), ("settle", ["run-2 fail"]), ("settle", ["run-3"])]
    assert desk.claims.told == told[: 3 if refusals_max == 2 else 1]
    loop.cancel()
    idle.cancel()
    await asyncio.gather(loop, idle, return_exceptions=True)


async def test_what_arrives_while_a_batch_is_in_flight_is_the_next_batch() -> None:
    desk = Desk(Claims())
    desk.claims.gate.clear()

    def act() -> None:
        desk.settler.add(settlement(1))
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, lambda: [desk.settler.add(settlement(number)) for number in (2, 3, 13)])
        loop.call_later(0.1, desk.claims.gate.set)

    told = await desk.during(act, lambda: len(desk.claims.told) == 2)
    assert told == [("settle", ["run-1"]), ("settle", ["run-2", "run-3", "run-13"])]


async def test_an_attempts_lines_are_stored_before_its_end() -> None:
    desk = Desk(Claims())

    def act() -> None:
        desk.lines.open(1, claimed())
        desk.lines.add(((1, "stdout", "a"), (1, "log", "b"), (2, "stdout", "of nobody")))
        desk.lines.close(1)
        desk.settler.add(settlement(1))

    told = await desk.during(act, lambda: len(desk.claims.told) == 2)
    assert told == [("lines", [("run-1", 1, "a"), ("run-1", 2, "b")]), ("settle", ["run-1"])]


async def test_lines_wait_for_a_store_that_is_away_and_keep_their_numbers() -> None:
    desk = Desk(Claims(away=2))

    def act() -> None:
        desk.lines.open(1, claimed())
        desk.lines.add(((1, "stdout", "a"),))
        desk.lines.add(((1, "stdout", "b"),))

    told = await desk.during(act, lambda: len(desk.claims.told) == 1)
    assert told == [("lines", [("run-1", 1, "a"), ("run-1", 2, "b")])]


async def test_the_buffer_of_lines_is_bounded() -> None:
    desk = Desk(Claims())
    desk.lines.open(1, claimed())
    for _ in range(3):
        desk.lines.add(tuple((1, "stdout", "x") for _ in range(BUFFER_LINES_MAX // 2)))
    await desk.lines.flush()
    assert sum(len(lines) for _, lines in desk.claims.told) == BUFFER_LINES_MAX
