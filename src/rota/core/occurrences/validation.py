"""What is wrong with a trigger, field by field, before anything is stored.

An expression that is well-formed but names no date (30 February) is allowed: people use it to park a job.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from math import isfinite
from typing import Final, get_args

from rota.core.milestone_validation import milestone_trigger_problems
from rota.core.occurrences.fields import CronSyntaxError
from rota.core.occurrences.instants import YEAR_FIRST, YEAR_LAST
from rota.core.occurrences.syntax import parse_cron
from rota.core.occurrences.zones import zone_problem
from rota.domain.problems import FieldProblem
from rota.domain.triggers import (
    AtTrigger,
    Calendar,
    CronTrigger,
    Gap,
    IntervalTrigger,
    MilestoneTrigger,
    OnExcluded,
    OverlapHour,
    Trigger,
    TriggerLimits,
    Weekday,
)

EVERY_SECONDS_MIN: Final = 0.001
EVERY_SECONDS_MAX: Final = 36_525 * 86_400.0
MOVED_EVERY_SECONDS_MIN: Final = 1.0
JITTER_SECONDS_MAX: Final = 86_400.0
FIRES_MAX_LIMIT: Final = 1_000_000_000
CALENDAR_DATES_MAX: Final = 1_000
CALENDARS_NAMED_MAX: Final = 10

_MONTH_DAY: Final = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_SHORT_MONTHS: Final = {"02-30", "02-31", "04-31", "06-31", "09-31", "11-31"}


def validate_trigger(trigger: Trigger) -> list[FieldProblem]:
    """Every problem, fields relative to the trigger; empty where it may be stored and compiled."""
    return [*_own_problems(trigger), *_limit_problems(trigger)]


def _own_problems(trigger: Trigger) -> Iterator[FieldProblem]:
    match trigger:
        case CronTrigger():
            return _cron_problems(trigger)
        case IntervalTrigger():
            return _interval_problems(trigger)
        case AtTrigger():
            return _at_problems(trigger)
        case MilestoneTrigger():
            return milestone_trigger_problems(trigger)


def _cron_problems(trigger: CronTrigger) -> Iterator[FieldProblem]:
    try:
        parse_cron(trigger.expression)
    except CronSyntaxError as error:
        yield from error.problems
    zone = zone_problem(trigger.timezone)
    if zone is not None:
        yield zone
    yield from _choice_problems("gap", trigger.gap, get_args(Gap))
    yield from _choice_problems("overlap_hour", trigger.overlap_hour, get_args(OverlapHour))


def _interval_problems(trigger: IntervalTrigger) -> Iterator[FieldProblem]:
    every = trigger.every_seconds
    if not isfinite(every) or every <= 0:
        yield FieldProblem("every_seconds", f"{every} is not a length of time", "give a number of seconds above 0")
    elif every < EVERY_SECONDS_MIN:
        yield FieldProblem(
            "every_seconds",
            f"{every:g} s is too short",
            f"use at least {EVERY_SECONDS_MIN} s, or do several things per run",
        )
    elif every > EVERY_SECONDS_MAX:
        yield FieldProblem(
            "every_seconds", f"{every:g} s is more than a century", f"use at most {EVERY_SECONDS_MAX:.0f}"
        )
    elif trigger.jitter_seconds > every:
        yield FieldProblem(
            "jitter_seconds", "is longer than every_seconds, so runs would change places", f"use at most {every:g}"
        )
    moves = trigger.calendar is not None and trigger.calendar.on_excluded != "skip"
    if moves and every < MOVED_EVERY_SECONDS_MIN:
        yield FieldProblem(
            "calendar.on_excluded",
            "intervals under a second cannot be moved to another day",
            'use "skip", or every_seconds of at least 1',
        )


def _at_problems(trigger: AtTrigger) -> Iterator[FieldProblem]:
    problems = list(_instant_problems("at", trigger.at))
    yield from problems
    if problems:
        return
    for name, bound, before in (("start_at", trigger.start_at, True), ("end_at", trigger.end_at, False)):
        if bound is not None and bound.tzinfo is not None and trigger.at != bound and (trigger.at < bound) is before:
            side = "before" if before else "after"
            yield FieldProblem("at", f"is {side} {name}, so it would never fire", f"move at, or leave {name} out")


def _limit_problems(limits: TriggerLimits) -> Iterator[FieldProblem]:
    naive = False
    for name, bound in (("start_at", limits.start_at), ("end_at", limits.end_at)):
        if bound is not None:
            naive = naive or bound.tzinfo is None
            yield from _instant_problems(name, bound)
    if limits.start_at is not None and limits.end_at is not None and not naive and limits.end_at < limits.start_at:
        yield FieldProblem("end_at", "is before start_at", "give an end_at that is not before start_at")
    if limits.fires_max is not None and not 1 <= limits.fires_max <= FIRES_MAX_LIMIT:
        yield FieldProblem(
            "fires_max",
            f"{limits.fires_max} is not a number of firings",
            f"use 1 to {FIRES_MAX_LIMIT}, or leave it out",
        )
    if not 0 <= limits.jitter_seconds <= JITTER_SECONDS_MAX:
        yield FieldProblem(
            "jitter_seconds",
            f"{limits.jitter_seconds:g} is outside 0 to {JITTER_SECONDS_MAX:.0f}",
            f"use 0 for none, and at most a day ({JITTER_SECONDS_MAX:.0f})",
        )
    if limits.calendar is not None:
        yield from (problem.under("calendar") for problem in _calendar_problems(limits.calendar))


def _instant_problems(field: str, instant: datetime) -> Iterator[FieldProblem]:
    if instant.tzinfo is None or instant.utcoffset() is None:
        yield FieldProblem(
            field,
            "has no UTC offset, so it names no instant",
            f'end it with "Z" or an offset: "{instant.isoformat()}Z"',
        )
    elif not YEAR_FIRST < instant.year < YEAR_LAST:
        yield FieldProblem(
            field,
            f"the year {instant.year} is outside {YEAR_FIRST + 1} to {YEAR_LAST - 1}",
            "check the year, or a time given in milliseconds",
        )


def _calendar_problems(calendar: Calendar) -> Iterator[FieldProblem]:
    if calendar.timezone is not None:
        zone = zone_problem(calendar.timezone)
        if zone is not None:
            yield zone
    yield from _choice_problems("on_excluded", calendar.on_excluded, get_args(OnExcluded))
    for place, name in enumerate(calendar.weekdays):
        yield from _choice_problems(f"weekdays[{place}]", name, get_args(Weekday))
    for name, given in (("exclude", calendar.exclude), ("only_on", calendar.only_on)):
        if len(given) > CALENDARS_NAMED_MAX:
            yield FieldProblem(name, f"names {len(given)} calendars", f"use at most {CALENDARS_NAMED_MAX}")
    lists = (
        ("exclude_dates", len(calendar.exclude_dates)),
        ("exclude_annual", len(calendar.exclude_annual)),
        ("include_dates", len(calendar.include_dates)),
    )
    for field, count in lists:
        if count > CALENDAR_DATES_MAX:
            yield FieldProblem(
                field,
                f"has {count} entries",
                f"use at most {CALENDAR_DATES_MAX}; days that recur belong in exclude_annual",
            )
    for place, text in enumerate(calendar.exclude_annual[:CALENDAR_DATES_MAX]):
        if not _MONTH_DAY.fullmatch(text) or text in _SHORT_MONTHS:
            yield FieldProblem(
                f"exclude_annual[{place}]",
                f"{text[:20]!r} is not a day of the year",
                'write month and day, such as "12-25"',
            )


def _choice_problems(field: str, value: str, choices: tuple[str, ...]) -> Iterator[FieldProblem]:
    if value not in choices:
        yield FieldProblem(field, f"{value!r} is not a choice", f"use one of {', '.join(choices)}")
