"""What is asked of Rota and what is done to it, both from one seeded stream: the same seed gives the same plan."""

import random  # noqa: TID251 - a seeded stream of its own, so that a run can be repeated
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from msgspec import Struct, structs

from tests.chaos.facts import (
    FEW_QUEUE,
    METERED_QUEUE,
    NARROW_TENANT,
    SEGMENT_SIZE,
    PlannedLimit,
    PlannedMilestone,
    PlannedNode,
    PlannedTrigger,
)
from tests.chaos.graphs import PlannedGraph, plan_graphs
from tests.chaos.milestone_checks import RETRY_SECONDS

FIRES_PER_SECOND = 200
EVERY_US_MIN, EVERY_US_MAX = 1_000_000, 10_000_000
FAULT_SPACING_SECONDS = 4.0
FREEZE_SECONDS = (4.0, 8.0)
# So that what was ended meanwhile is told while the next attempt, which the rescue began, is at work.
CUT_SECONDS = (3.8, 5.2)
DEAF_SECONDS = (0.3, 1.0)
QUIET_FAULTS = 3
RETURN_SECONDS = (0.1, 2.0)
# What was begun before the outage is over by then, or was frozen.
OUTAGE_MARGIN_SECONDS = 4.0
OUTAGE_KILLS_SECONDS_MIN = 20.0

# Of a handler of 0.4 s there are five a second at most, so that the limit is met time and again, and always caught up.
LIMITS = (
    PlannedLimit(NARROW_TENANT, concurrency_max=2),
    PlannedLimit(FEW_QUEUE, concurrency_max=3),
    PlannedLimit(METERED_QUEUE, rate=10.0, burst=10),
)
NARROW_PER_SECOND = 2.0
# Schedules of a queue that all fire at the same moments: more than its limit lets begin.
TOGETHER = {FEW_QUEUE: (6, 3_000_000), METERED_QUEUE: (15, 5_000_000)}

FAN_OUTS_PER_SECOND = 0.8
ITEMS = (25, 60)

EVIDENCE = "sighting"
# Long past, so that any moment of the run can be the one at which the evidence is old enough.
AGES_SECONDS = {"SOON": 600.0, "LATER": 603.0}
SUBJECTS_PER_SECOND = 1.0
# Evidence is told between so many seconds before its first milestone is due and so many after it.
TOLD_SECONDS = (-5.0, 1.0)
# The last subjects have this long for their attempts before the run ends.
LAST_SUBJECT_SECONDS = 8.0
FAILURES = (0, 0, 0, 1, 1, 2)

FaultKind: TypeAlias = Literal[
    "kill leader",
    "freeze leader",
    "kill server",
    "freeze server",
    "kill worker",
    "freeze supervisor",
    "freeze worker",
    "cut worker",
    "deafen workers",
    "kill executor",
    "freeze executor",
    "end sessions",
    "kill database",
    "restart database",
    "outage database",
]

# Each hand deals one fault of each line, in a random order: so that chance alone never leaves one of them out for long.
_HAND: tuple[tuple[FaultKind, ...], ...] = (
    ("kill leader",),
    ("freeze leader", "kill leader"),
    ("kill server", "freeze server"),
    ("kill worker",),
    ("kill worker", "freeze worker"),
    ("freeze supervisor",),
    ("cut worker",),
    ("deafen workers",),
    ("kill executor", "freeze executor"),
    ("end sessions",),
    ("kill database", "restart database"),
)

_BOUNDS = {
    "freeze": FREEZE_SECONDS,
    "cut": CUT_SECONDS,
    "deafen": DEAF_SECONDS,
    "kill": RETURN_SECONDS,
    "restart": RETURN_SECONDS,
    "end": RETURN_SECONDS,
}

# At which part of the outage.
_KILLS_IN_OUTAGE: tuple[tuple[float, FaultKind], ...] = (
    (0.2, "kill worker"),
    (0.4, "kill leader"),
    (0.6, "kill server"),
)


class Fault(Struct, frozen=True):
    """`seconds` is how long it lasts: frozen, cut off, deaf, or away before it is started again.

    `share` picks victims, in [0, 1).
    """

    no: int
    at_seconds: float
    kind: FaultKind
    seconds: float
    share: float


class Subject(Struct, frozen=True):
    """Of whom both milestones are to be made. `told_us` is when its evidence is recorded.

    Of every other one `ticks` are asked for at once when a milestone falls due; the leader has the rest for itself.
    """

    name: str
    occurred_us: int
    told_us: int
    failures: int
    ticks: int

    def due_us(self, milestone: str) -> int:
        return self.occurred_us + round(AGES_SECONDS[milestone] * 1e6)


class ChaosPlan(Struct, frozen=True):
    """All of it, before it begins. The outage comes on top of `seconds`."""

    seed: int
    seconds: int
    outage_seconds: int
    start_us: int
    triggers: tuple[PlannedTrigger, ...]
    faults: tuple[Fault, ...]
    subjects: tuple[Subject, ...]
    graphs: tuple[PlannedGraph, ...]

    @property
    def end_us(self) -> int:
        return self.start_us + (self.seconds + self.outage_seconds) * 1_000_000

    @property
    def milestones(self) -> tuple[PlannedMilestone, ...]:
        return tuple(
            PlannedMilestone(name, subject.name, subject.due_us(name), subject.failures)
            for subject in self.subjects
            for name in AGES_SECONDS
        )

    @property
    def nodes(self) -> tuple[PlannedNode, ...]:
        return tuple(node for graph in self.graphs for node in graph.nodes)


def make_plan(seed: int, seconds: int, start_us: int, outage_seconds: int = 0) -> ChaosPlan:
    """`FIRES_PER_SECOND` from `start_us` on, and a fault every `FAULT_SPACING_SECONDS`, for so many seconds.

    With an outage, the faults pause in their middle until the database is back.
    """
    dice = random.Random(seed)
    end_us = start_us + (seconds + outage_seconds) * 1_000_000
    triggers = (
        *_triggers(dice, start_us, end_us),
        *_fan_outs(dice, start_us, end_us),
        *_narrow(dice, start_us, end_us),
        *_together(dice, start_us, end_us),
    )
    faults = tuple(_with_outage(dice, tuple(_faults(dice, seconds)), seconds, outage_seconds))
    subjects = tuple(_subjects(dice, start_us, end_us))
    graphs = tuple(plan_graphs(dice, start_us, end_us))
    return ChaosPlan(seed, seconds, outage_seconds, start_us, triggers, faults, subjects, graphs)


def _triggers(dice: random.Random, start_us: int, end_us: int) -> Iterator[PlannedTrigger]:
    rate = 0.0
    while rate < FIRES_PER_SECOND:
        every_us = dice.randrange(EVERY_US_MIN, EVERY_US_MAX + 1, 1000)
        name = f"chaos-{int(rate * 1000):06d}"
        yield PlannedTrigger(name, start_us + dice.randrange(0, every_us, 1000), every_us, end_us)
        rate += 1e6 / every_us


def _fan_outs(dice: random.Random, start_us: int, end_us: int) -> Iterator[PlannedTrigger]:
    rate = 0.0
    while rate < FAN_OUTS_PER_SECOND:
        every_us = dice.randrange(EVERY_US_MAX // 2, EVERY_US_MAX + 1, 1000)
        name = f"chaos-fan-out-{int(rate * 1000):06d}"
        yield PlannedTrigger(name, start_us + dice.randrange(0, every_us, 1000), every_us, end_us, dice.randint(*ITEMS))
        rate += 1e6 / every_us


def _faults(dice: random.Random, seconds: int) -> Iterator[Fault]:
    hand: list[FaultKind] = []
    count = int(seconds / FAULT_SPACING_SECONDS)
    for no in range(count):
        if not hand:
            hand = [dice.choice(line) for line in _HAND]
            dice.shuffle(hand)
        kind = _at_the_end(no, count, hand.pop())
        bounds = _BOUNDS[kind.partition(" ")[0]]
        yield Fault(no + 1, (no + 0.5) * FAULT_SPACING_SECONDS, kind, round(dice.uniform(*bounds), 2), dice.random())


def _at_the_end(no: int, count: int, dealt: FaultKind) -> FaultKind:
    """The last fault leaves claims unanswered, and the workers are left alone then.

    In between, each worker loses its lease so often that nobody could tell a claim that was found from one that the
    rescue took back with all the others.
    """
    if no == count - 1:
        return "deafen workers"
    hits_a_worker = dealt.endswith((" worker", " supervisor", " executor"))
    return "end sessions" if hits_a_worker and no >= count - 1 - QUIET_FAULTS else dealt


def _narrow(dice: random.Random, start_us: int, end_us: int) -> Iterator[PlannedTrigger]:
    rate = 0.0
    while rate < NARROW_PER_SECOND:
        every_us = dice.randrange(EVERY_US_MIN * 2, EVERY_US_MAX // 2, 1000)
        first_us = start_us + dice.randrange(0, every_us, 1000)
        name = f"chaos-narrow-{int(rate * 1000):06d}"
        yield PlannedTrigger(name, first_us, every_us, end_us, tenant=NARROW_TENANT)
        rate += 1e6 / every_us


def _together(dice: random.Random, start_us: int, end_us: int) -> Iterator[PlannedTrigger]:
    for queue, (count, every_us) in TOGETHER.items():
        first_us = start_us + dice.randrange(0, every_us, 1000)
        for no in range(count):
            yield PlannedTrigger(f"chaos-{queue}-{no:02d}", first_us, every_us, end_us, queue=queue)


def _with_outage(dice: random.Random, faults: tuple[Fault, ...], seconds: int, outage_seconds: int) -> Iterator[Fault]:
    """What dies meanwhile is started again while the database is away, and has to wait for it."""
    if not outage_seconds:
        yield from faults
        return
    before = [fault for fault in faults if fault.at_seconds < seconds / 2]
    began = before[-1].at_seconds + OUTAGE_MARGIN_SECONDS
    outage = Fault(0, began, "outage database", outage_seconds, dice.random())
    kills = [
        Fault(0, began + outage_seconds * share, kind, round(dice.uniform(*RETURN_SECONDS), 2), dice.random())
        for share, kind in _KILLS_IN_OUTAGE
        if outage_seconds >= OUTAGE_KILLS_SECONDS_MIN
    ]
    after = [structs.replace(one, at_seconds=one.at_seconds + outage_seconds) for one in faults[len(before) :]]
    for place, fault in enumerate([*before, outage, *kills, *after]):
        yield structs.replace(fault, no=place + 1)


def _subjects(dice: random.Random, start_us: int, end_us: int) -> Iterator[Subject]:
    """Half of them are ticked."""
    last_us = end_us - round(LAST_SUBJECT_SECONDS * 1e6)
    spacing_us = round(1e6 / SUBJECTS_PER_SECOND)
    for place, at_us in enumerate(range(start_us, last_us, spacing_us)):
        due_us = at_us + dice.randrange(0, spacing_us, 1000)
        told_us = max(start_us, due_us + round(dice.uniform(*TOLD_SECONDS) * 1e6))
        failures = dice.choice(FAILURES)
        name = f"site-{place:04d}-fails-{failures}"
        yield Subject(
            name, due_us - round(AGES_SECONDS["SOON"] * 1e6), told_us, failures, place % 2 * dice.randint(2, 4)
        )


def milestone_body(milestone: str) -> dict[str, Any]:
    """A schedule that makes it of every subject of which there is evidence."""
    return {
        "name": f"makes-{milestone}",
        "triggers": [
            {
                "kind": "milestone",
                "name": milestone,
                "evidence": EVIDENCE,
                "age_seconds": AGES_SECONDS[milestone],
            }
        ],
        "target": {"kind": "task", "task": "chaos.milestone"},
        "policies": {"timeout_seconds": 600, "retry": {"delays_seconds": list(RETRY_SECONDS)}},
    }


def schedule_bodies(plan: ChaosPlan, tenant: str) -> list[dict[str, Any]]:
    """The plan's triggers as the API takes schedules."""
    return [_body(trigger, place) for place, trigger in enumerate(plan.triggers) if trigger.tenant == tenant]


def _body(trigger: PlannedTrigger, place: int) -> dict[str, Any]:
    return {
        "name": trigger.name,
        "triggers": [
            {
                "kind": "interval",
                "every_seconds": trigger.every_us / 1e6,
                "start_at": instant(trigger.start_us),
                "end_at": instant(trigger.end_us),
            }
        ],
        "target": _target(trigger, place),
        "policies": {
            "queue": trigger.queue,
            "overlap": "allow",
            "misfire": "fire_all",
            "misfire_grace_seconds": 1,
            "catch_up_max": 1000,
            "timeout_seconds": 60,
            "retry": {"base_seconds": 0.1, "factor": 1.5, "cap_seconds": 1, "attempts_max": 50},
        },
    }


def _target(trigger: PlannedTrigger, place: int) -> dict[str, Any]:
    if trigger.limit is not None:
        return {"kind": "task", "task": "chaos.narrow", "args": {"trigger": trigger.name}}
    if not trigger.items:
        task = "chaos.thread" if place % 4 == 0 else "chaos.loop"
        return {"kind": "task", "task": task, "args": {"trigger": trigger.name}}
    args = {"trigger": trigger.name, "count": trigger.items}
    selector = {"kind": "task", "task": "chaos.items", "args": args}
    fan_out = {"selector": selector, "segment_size": SEGMENT_SIZE}
    return {"kind": "task", "task": "chaos.segment", "args": {"trigger": trigger.name}, "fan_out": fan_out}


def instant(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()
