"""What is wrong with a calendar, which calendars a schedule needs, and what a change of one makes of its triggers."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace as changed

from rota.core.field_rules import Problems, TextRule, choice_problems, text_problems
from rota.core.occurrences.instants import YEAR_FIRST, YEAR_LAST
from rota.core.occurrences.named_days import WEEKDAYS, hours_window, is_empty, yearly_rule
from rota.core.trigger_times import INSTANT, next_fire_from
from rota.domain.calendar import CalendarDays, NamedCalendar, calendar_names
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import ScheduleId
from rota.domain.problems import FieldProblem
from rota.domain.schedule import TriggerState
from rota.domain.triggers import Trigger

CALENDAR_NAME_RULE = TextRule(
    100,
    re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"),
    "letters, digits, '.', '_' and '-', beginning and ending with a letter or digit",
)
DATES_MAX = 2_000
RANGES_MAX = 500
YEARLY_MAX = 100
HOURS_MAX = 24


def calendar_problems(name: str, days: CalendarDays) -> Problems:
    yield from text_problems("name", name, CALENDAR_NAME_RULE)
    if is_empty(days):
        remedy = "give weekdays, dates, ranges or yearly"
        yield FieldProblem("", "has no day, so a trigger that is only on it would never fire", remedy)
    lists = (("dates", days.dates, DATES_MAX), ("ranges", days.ranges, RANGES_MAX), ("yearly", days.yearly, YEARLY_MAX))
    for field, given, count_max in (*lists, ("hours", days.hours, HOURS_MAX)):
        if len(given) > count_max:
            yield FieldProblem(field, f"has {len(given)} entries", f"use at most {count_max}")
    yield from _date_problems(days)
    yield from _text_problems(days)


def _date_problems(days: CalendarDays) -> Problems:
    for place, weekday in enumerate(days.weekdays):
        yield from choice_problems(f"weekdays[{place}]", weekday, WEEKDAYS)
    for place, one in enumerate(days.ranges[:RANGES_MAX]):
        if one.last < one.first:
            yield FieldProblem(f"ranges[{place}].last", "is before first", "give a last day that is not before first")
    if any(not YEAR_FIRST <= day.year <= YEAR_LAST for day in days.dates):
        yield FieldProblem("dates", "has a year out of reach", f"use {YEAR_FIRST} to {YEAR_LAST}")


def _text_problems(days: CalendarDays) -> Problems:
    for place, text in enumerate(days.yearly[:YEARLY_MAX]):
        if yearly_rule(text) is None:
            remedy = "write it such as 12-25, 11-thu#4, 05-mon#-1, easter or easter+1"
            yield FieldProblem(f"yearly[{place}]", f"{text[:30]!r} is no day of each year", remedy)
    for place, text in enumerate(days.hours[:HOURS_MAX]):
        if hours_window(text) is None:
            remedy = "write it such as 09:00-17:00; hours over midnight are two entries, the first up to 24:00"
            yield FieldProblem(f"hours[{place}]", f"{text[:30]!r} are no hours of a day", remedy)


def named_calendars(trigger: Trigger, known: Mapping[str, NamedCalendar]) -> tuple[NamedCalendar, ...]:
    """What the trigger names, of `known`."""
    return tuple(known[name] for name in calendar_names(trigger) if name in known)


def require_known_calendars(triggers: Sequence[Trigger], known: Mapping[str, NamedCalendar], field: str = "") -> None:
    """Raises INVALID_INPUT with each name that is not among `known`."""
    problems: list[FieldProblem] = []
    for place, trigger in enumerate(triggers):
        rule = trigger.calendar
        for part, names in () if rule is None else (("exclude", rule.exclude), ("only_on", rule.only_on)):
            problems += [
                FieldProblem(
                    f"{field}triggers[{place}].calendar.{part}[{which}]",
                    f"there is no calendar {name[:100]!r}",
                    "create it first, or leave it out",
                )
                for which, name in enumerate(names)
                if name not in known
            ]
    if problems:
        raise invalid_input(problems)


def replanned(
    schedule_id: ScheduleId, trigger: TriggerState, calendar: NamedCalendar, now: datetime, *, fires: bool
) -> TriggerState:
    """`trigger` by a new version of a calendar that it uses.

    What is due and undecided by now is looked at again by the new one; of times that were not due, those after now
    count. A trigger of a paused schedule (`fires` false) has nothing to come before and after.
    """
    if not any(one.name == calendar.name for one in trigger.calendars):
        return trigger
    calendars = tuple(calendar if one.name == calendar.name else one for one in trigger.calendars)
    after = changed(trigger, calendars=calendars)
    if not fires:
        return after
    due = trigger.next_fire_at is not None and trigger.next_fire_at <= now
    start = trigger.next_fire_at if due and trigger.next_fire_at is not None else now + INSTANT
    try:
        return changed(after, next_fire_at=next_fire_from(schedule_id, after, start))
    except DomainError:
        # A stored trigger that this release cannot read is told when it is due, and holds up no change.
        return after
