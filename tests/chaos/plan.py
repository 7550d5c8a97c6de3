"""What is asked of Rota and what is done to it, both from one seeded stream: the same seed gives the same plan."""

import random  # noqa: TID251 - a seeded stream of its own, so that a run can be repeated
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from tests.chaos.facts import PlannedTrigger

FIRES_PER_SECOND = 200
EVERY_US_MIN, EVERY_US_MAX = 1_000_000, 10_000_000
FAULT_SPACING_SECONDS = 4.0
FREEZE_SECONDS = (4.0, 8.0)
# So that what was ended meanwhile is told while the next attempt, which the rescue began, is at work.
CUT_SECONDS = (3.8, 5.2)
DEAF_SECONDS = (0.3, 1.0)
QUIET_FAULTS = 3
RETURN_SECONDS = (0.1, 2.0)

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


class Fault(Struct, frozen=True):
    """`seconds` is how long it lasts: frozen, cut off, deaf, or away before it is started again.

    `share` picks victims, in [0, 1).
    """

    no: int
    at_seconds: float
    kind: FaultKind
    seconds: float
    share: float


class ChaosPlan(Struct, frozen=True):
    """All of it, before it begins."""

    seed: int
    seconds: int
    triggers: tuple[PlannedTrigger, ...]
    faults: tuple[Fault, ...]


def make_plan(seed: int, seconds: int, start_us: int) -> ChaosPlan:
    """`FIRES_PER_SECOND` from `start_us` on, and a fault every `FAULT_SPACING_SECONDS`, for so many seconds."""
    dice = random.Random(seed)
    triggers = tuple(_triggers(dice, start_us, start_us + seconds * 1_000_000))
    return ChaosPlan(seed, seconds, triggers, tuple(_faults(dice, seconds)))


def _triggers(dice: random.Random, start_us: int, end_us: int) -> Iterator[PlannedTrigger]:
    rate = 0.0
    while rate < FIRES_PER_SECOND:
        every_us = dice.randrange(EVERY_US_MIN, EVERY_US_MAX + 1, 1000)
        name = f"chaos-{int(rate * 1000):06d}"
        yield PlannedTrigger(name, start_us + dice.randrange(0, every_us, 1000), every_us, end_us)
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


def schedule_bodies(plan: ChaosPlan) -> list[dict[str, Any]]:
    """The plan's triggers as the API takes schedules."""
    return [_body(trigger, place) for place, trigger in enumerate(plan.triggers)]


def _body(trigger: PlannedTrigger, place: int) -> dict[str, Any]:
    return {
        "name": trigger.name,
        "triggers": [
            {
                "kind": "interval",
                "every_seconds": trigger.every_us / 1e6,
                "start_at": _instant(trigger.start_us),
                "end_at": _instant(trigger.end_us),
            }
        ],
        "target": {
            "kind": "task",
            "task": "chaos.thread" if place % 4 == 0 else "chaos.loop",
            "args": {"trigger": trigger.name},
        },
        "policies": {
            "overlap": "allow",
            "misfire": "fire_all",
            "misfire_grace_seconds": 1,
            "catch_up_max": 1000,
            "timeout_seconds": 60,
            "retry": {"base_seconds": 0.1, "factor": 1.5, "cap_seconds": 1, "attempts_max": 50},
        },
    }


def _instant(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()
