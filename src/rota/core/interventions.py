"""When a schedule needs intervention: so many failed runs in a row, or so many in a while. Pure.

A run fails here when its tries are used up; what it raised and what it returned count the same. Cancelled and skipped
runs are no failures and break no streak. Runs that were made before the schedule was last resumed are not counted: they
belong to the trouble that somebody has looked at. After that the first end decides: a failure stops it again at once,
unless the resume forgave what was before; a success ends the probation.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from rota.core.field_rules import number_problems
from rota.domain.intervention import FAILURES_KEPT_MAX, Intervention, InterventionCause, ScheduleFailure
from rota.domain.policies import InterventionPolicy
from rota.domain.problems import FieldProblem
from rota.domain.schedule import Schedule

PATTERN_CHARACTERS_MAX = 100
WINDOW_SECONDS_MIN = 60.0
WINDOW_SECONDS_MAX = 366 * 86_400.0
COOL_OFF_SECONDS_MIN = 10.0
COOL_OFF_SECONDS_MAX = 366 * 86_400.0

# Runs beside one another: a success may be of a run that was made so much earlier than the failure before it.
LONG_BESIDE = timedelta(minutes=10)

_DIFFERS = (
    (re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r"\b(?:0x[0-9a-fA-F]+|(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8,})\b"), "<hex>"),
    (re.compile(r"\d+(?:[.:,-]\d+)*"), "<n>"),
)


def intervention_problems(policy: InterventionPolicy) -> Iterator[FieldProblem]:
    yield from number_problems("streak", policy.streak, 1, FAILURES_KEPT_MAX, "failures")
    yield from number_problems("window_count", policy.window_count, 1, FAILURES_KEPT_MAX, "failures")
    yield from number_problems(
        "window_seconds", policy.window_seconds, WINDOW_SECONDS_MIN, WINDOW_SECONDS_MAX, "seconds"
    )
    if policy.cool_off_seconds is not None:
        yield from number_problems(
            "cool_off_seconds", policy.cool_off_seconds, COOL_OFF_SECONDS_MIN, COOL_OFF_SECONDS_MAX, "seconds"
        )


def pattern_of(message: str) -> str:
    """The first line that says anything, without ids and numbers, so that the same trouble reads the same."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    for differs, word in _DIFFERS:
        line = differs.sub(word, line)
    return line[:PATTERN_CHARACTERS_MAX]


def noted(known: Iterable[ScheduleFailure], new: Iterable[ScheduleFailure]) -> tuple[ScheduleFailure, ...]:
    """All of them in the order of their ends, each run once, the newest `FAILURES_KEPT_MAX`."""
    by_run = {one.run_id: one for one in (*known, *new)}
    return tuple(sorted(by_run.values(), key=lambda one: (one.failed_at, one.run_id))[-FAILURES_KEPT_MAX:])


def successes_wanted_since(schedule: Schedule, failures: Sequence[ScheduleFailure]) -> datetime | None:
    """From when runs may hold a success that matters to `decide`; None where none matters."""
    counted, policy = _counted(schedule, failures), schedule.policies.intervention
    if not counted or not _is_watched(schedule):
        return None
    if schedule.intervention is not None and schedule.intervention.on_probation:
        return schedule.intervention.resumed_at
    return counted[-policy.streak].created_at - LONG_BESIDE if len(counted) >= policy.streak else None


def decide(
    schedule: Schedule, failures: Sequence[ScheduleFailure], last_success_at: datetime | None, now: datetime
) -> Intervention | None:
    """The intervention that begins now; None where none does. `failures` are as `noted` gives them; `last_success_at`
    is of the runs that were made since `successes_wanted_since`.
    """
    counted, policy = _counted(schedule, failures), schedule.policies.intervention
    if not counted or not _is_watched(schedule):
        return None
    streak = [one for one in counted if last_success_at is None or one.failed_at > last_success_at]
    before = schedule.intervention
    if before is not None and before.on_probation and last_success_at is None:
        return _opened("probation", streak, before.failures_count, policy, now)
    if len(streak) >= policy.streak:
        return _opened("streak", streak, 0, policy, now)
    window = [one for one in counted if one.failed_at > now - timedelta(seconds=policy.window_seconds)]
    if len(window) >= policy.window_count:
        return _opened("window", window, 0, policy, now)
    return None


def _is_watched(schedule: Schedule) -> bool:
    return not (schedule.needs_intervention or schedule.policies.intervention.is_off or schedule.deleted_at)


def _counted(schedule: Schedule, failures: Sequence[ScheduleFailure]) -> list[ScheduleFailure]:
    resumed_at = None if schedule.intervention is None else schedule.intervention.resumed_at
    return [one for one in failures if resumed_at is None or one.created_at >= resumed_at]


def _opened(
    cause: InterventionCause,
    failures: Sequence[ScheduleFailure],
    before_count: int,
    policy: InterventionPolicy,
    now: datetime,
) -> Intervention:
    """Its class is the most frequent one, of those the one that was seen last; its pattern the newest of that class."""
    counts = Counter(one.failure_class for one in failures)
    newest = max(reversed(failures), key=lambda one: counts[one.failure_class])
    seconds = policy.cool_off_seconds
    return Intervention(
        opened_at=now,
        cause=cause,
        failure_class=newest.failure_class,
        pattern=newest.pattern,
        failures_count=before_count + len(failures),
        cool_off_until=None if seconds is None else now + timedelta(seconds=seconds),
    )
