"""Lives of a scheduler: any sequence of deeds over the stores of one backend, with the rules of the core deciding.

A deed is three small numbers, so that a life that breaks a law shrinks to a short one. Nothing here knows a law.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from msgspec import structs

from rota.core.firing import plan_firing
from rota.core.milestones import attempt, clear_marker, reset, retry_now
from rota.core.settlement import decide_settlement
from rota.domain.errors import DomainError
from rota.domain.firing import TriggerAdvance
from rota.domain.ids import RunId, WorkerId
from rota.domain.limit import Limit
from rota.domain.milestone import Evidence
from rota.domain.page import PageRequest
from rota.domain.policies import Policies, RetryPolicy, RunPolicy
from rota.domain.run import AttemptOutcome, ClaimedRun, Run, RunError
from rota.domain.schedule import Schedule
from rota.domain.triggers import IntervalTrigger, MilestoneTrigger
from rota.ports.milestone_store import EvidenceStore, MilestoneStore
from rota.ports.run_statistics import RunCounting, RunStatistics
from rota.ports.run_store import RunFilter
from tests.contract.records import ACME, change, schedule, trigger
from tests.contract.run_stores import AUDIT, RunStores, draft
from tests.contract.stores import START
from tests.contract.test_firing_store import FENCE

Deed: TypeAlias = tuple[str, int, int]

FEW, METERED = "few", "metered"
QUEUES = ("default", FEW, METERED)
FEW_MAX, RATE, BURST = 2, 0.5, 3
LEASE_SECONDS = 20.0
SUBJECTS = ("north", "south", "east", "west")
MILESTONES = {"EARLY": 10.0, "LATE": 100.0}
RETRY = RetryPolicy(base_seconds=2.0, factor=3.0, cap_seconds=30.0, attempts_max=3)
RUNS_MAX = 500
WAITING_MAX = 8


class HalfDice:
    """No delay is jittered; where one is, it is halved."""

    def uniform(self) -> float:
        return 0.5


@dataclass
class Life:
    """What was done and seen. `begun` and `failed` tell when, by run, in the order in which it happened."""

    stores: RunStores
    evidence: EvidenceStore
    milestones: MilestoneStore
    statistics: RunStatistics
    counting: RunCounting
    held: list[ClaimedRun] = field(default_factory=list[ClaimedRun])
    advances: list[tuple[TriggerAdvance, ...]] = field(default_factory=list[tuple[TriggerAdvance, ...]])
    begun: list[tuple[datetime, ClaimedRun]] = field(default_factory=list[tuple[datetime, ClaimedRun]])
    failed: list[tuple[datetime, ClaimedRun]] = field(default_factory=list[tuple[datetime, ClaimedRun]])
    deeds_done: set[str] = field(default_factory=set[str])

    async def begin(self) -> None:
        """Three schedules, two limits, evidence of two subjects."""
        await self.stores.leases.acquire_if_free(FENCE.lease_name, FENCE.holder, 10_000_000)
        for made in _schedules():
            await self.stores.base.schedules.insert_many(ACME, [made], change())
        for limit in (
            Limit("queue", FEW, START, "root", FEW_MAX),
            Limit("queue", METERED, START, "root", None, RATE, BURST),
        ):
            await self.stores.limits.put(limit, AUDIT)
        for subject in SUBJECTS:
            await self.evidence.record_once(Evidence(ACME, "installation", subject, START, START, "ada"), AUDIT)

    async def runs(self) -> tuple[Run, ...]:
        return (await self.stores.reader.page(ACME, RunFilter(), PageRequest(RUNS_MAX))).items

    async def do(self, deed: Deed) -> None:
        """A deed that is refused is none."""
        kind, first, second = deed
        try:
            await DEEDS[kind](self, first, second)
        except DomainError:
            return
        self.deeds_done.add(kind)

    async def now(self) -> datetime:
        return await self.stores.base.clock.now()


def _schedules() -> tuple[Schedule, ...]:
    every_minute = IntervalTrigger(every_seconds=60.0)
    policies = Policies(
        overlap="skip", misfire="fire_all", catch_up_max=2, catch_up_window_seconds=3_600.0, misfire_grace_seconds=30.0
    )
    policies = structs.replace(policies, retry=RETRY, timeout_seconds=50.0)
    milestones = tuple(
        trigger(MilestoneTrigger(name=name, evidence="installation", age_seconds=age), None)
        for name, age in MILESTONES.items()
    )
    return (
        schedule("alone", triggers=(trigger(every_minute, START),), policies=policies),
        schedule(
            "crowd", triggers=(trigger(every_minute, START),), policies=structs.replace(policies, overlap="allow")
        ),
        schedule("reports", triggers=milestones, policies=structs.replace(policies, overlap="allow", priority=9)),
    )


async def _pass_time(life: Life, first: int, _: int) -> None:
    await life.stores.base.clock.advance((0.5, 3.0, 12.0, 25.0, 61.0, 130.0, 4_000.0, 1.0)[first])


async def _fire(life: Life, _: int, __: int) -> None:
    """As the leader does: look, plan, apply."""
    planned = plan_firing(await life.stores.firing.due_triggers(10))
    if planned:
        life.advances.append(planned)
        await life.stores.firing.apply(FENCE, planned)


async def _fire_again(life: Life, first: int, _: int) -> None:
    """What an earlier look gave, whoever has fired since: a leader whose answer was lost, or that is late."""
    if life.advances:
        await life.stores.firing.apply(FENCE, life.advances[-1 - first % min(3, len(life.advances))])


async def _enqueue(life: Life, first: int, second: int) -> None:
    policy = RunPolicy(timeout_seconds=50.0, retry=RETRY)
    drafts = [draft(queue=QUEUES[first % 3], policy=policy) for _ in range(1 + second % 3)]
    waiting = [run for run in await life.runs() if (run.state, run.queue) == ("queued", drafts[0].queue)]
    if len(waiting) < WAITING_MAX:
        await life.stores.intake.enqueue(ACME, drafts, AUDIT)


async def _claim(life: Life, first: int, second: int) -> None:
    queues = (QUEUES, (FEW,), (METERED,), ("default",))[first % 4]
    worker_id = await life.stores.worker(LEASE_SECONDS, QUEUES)
    claimed = await life.stores.claim(WorkerId(worker_id), 1 + second, queues)
    at = await life.now()
    life.begun += [(at, each) for each in claimed]
    life.held += claimed


async def _end(life: Life, first: int, second: int) -> None:
    """Any attempt that was ever claimed may say how it ended, also one that holds its run no more."""
    if not life.held:
        return
    place = -1 - first % len(life.held)
    claimed = life.held[place]
    outcome: AttemptOutcome = (
        "succeeded",
        "failed",
        "succeeded",
        "failed",
        "failed",
        "timed_out",
        "failed",
        "succeeded",
    )[second]
    error = None if outcome == "succeeded" else RunError("no", type="No")
    settlement = decide_settlement(claimed, outcome, error, HalfDice(), result_json='{"made": true}')
    (result,) = await life.stores.claims.settle_batch([settlement])
    if result.accepted and settlement.verb == "retry":
        life.failed.append((await life.now(), claimed))


async def _rescue(life: Life, _: int, __: int) -> None:
    await life.stores.workers.mark_lost(1)
    lost = await life.stores.claims.find_lost(1, 100)
    ends = [decide_settlement(each.claimed, each.outcome, None, HalfDice()) for each in lost]
    await life.stores.claims.settle_batch(ends)


async def _give_back(life: Life, first: int, _: int) -> None:
    if life.held:
        await life.stores.claims.give_back_batch([life.held[-1 - first % len(life.held)]])


async def _cancel(life: Life, first: int, second: int) -> None:
    runs = await life.runs()
    if runs:
        run_id: RunId = runs[(first * 8 + second) % len(runs)].id
        await life.stores.control.cancel_if_live(ACME, run_id, AUDIT)


async def _retry(life: Life, first: int, second: int) -> None:
    runs = await life.runs()
    if runs and len(runs) < RUNS_MAX // 4:
        await life.stores.control.clone_if_terminal(ACME, runs[(first * 8 + second) % len(runs)].id, AUDIT)


async def _tick(life: Life, first: int, second: int) -> None:
    name, subject = tuple(MILESTONES)[first % 2], SUBJECTS[second % 4]
    await life.milestones.change(ACME, name, subject, lambda look: attempt(look, "leader"), AUDIT)


async def _intervene(life: Life, first: int, second: int) -> None:
    name, subject = tuple(MILESTONES)[first % 2], SUBJECTS[second % 4]
    verb = (reset, retry_now, clear_marker)[(first + second) % 3]
    await life.milestones.change(ACME, name, subject, lambda look: verb(look, "ada"), AUDIT)


async def _add_up(life: Life, first: int, _: int) -> None:
    await life.counting.add_up(1 + first)


DEEDS: dict[str, Callable[[Life, int, int], Awaitable[None]]] = {
    "pass_time": _pass_time,
    "fire": _fire,
    "fire_again": _fire_again,
    "enqueue": _enqueue,
    "claim": _claim,
    "end": _end,
    "rescue": _rescue,
    "give_back": _give_back,
    "cancel": _cancel,
    "retry": _retry,
    "tick": _tick,
    "intervene": _intervene,
    "add_up": _add_up,
}
# How often each is drawn, beside the others.
WEIGHTS = {"pass_time": 5, "fire": 3, "claim": 6, "end": 9, "enqueue": 2, "tick": 4}
DRAWN = tuple(name for name in DEEDS for _ in range(WEIGHTS.get(name, 1)))
