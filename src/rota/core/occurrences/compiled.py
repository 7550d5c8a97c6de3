"""A trigger made ready to answer "what is the next fire?".

Expressions, zones and timelines are shared between triggers through bounded caches, so that compiling is cheap and a
compiled trigger is small.
"""

from datetime import datetime
from functools import lru_cache
from typing import Final

from rota.core.occurrences.calendars import DayRule, HoursSource, SkippingSource, day_rule_of
from rota.core.occurrences.instants import SECOND_US, to_datetime, to_microseconds
from rota.core.occurrences.matching import matcher_of
from rota.core.occurrences.moving import BackwardSource, CalendarSource, ForwardSource
from rota.core.occurrences.sources import AtSource, CronSource, IntervalSource, NoSource, Source
from rota.core.occurrences.syntax import may_use_hash, parse_cron
from rota.core.occurrences.timeline import timeline_of
from rota.core.occurrences.validation import validate_trigger
from rota.core.occurrences.zones import zone_of
from rota.domain.calendar import NamedCalendar
from rota.domain.errors import invalid_input
from rota.domain.triggers import Calendar, CronTrigger, IntervalTrigger, MilestoneTrigger, Trigger

BETWEEN_MAX: Final = 100_000
"""The most that `between` returns at once, whatever its limit."""


CRONS_CACHED_MAX: Final = 8_192
INTERVALS_CACHED_MAX: Final = 1_024
RULES_CACHED_MAX: Final = 1_024


class Occurrences:
    """The nominal fire times of one trigger: bounds and calendar applied; `fires_max` and jitter are not.

    Whoever fires counts against `fires_max` and adds `jitter_offset`: neither can be told from the time alone.
    """

    __slots__ = ("_next_us", "_start_us", "_whole", "calendar", "end_us", "fires_max", "raw", "trigger")

    def __init__(self, trigger: Trigger, raw: Source, calendar: CalendarSource | None) -> None:
        self.trigger = trigger
        self.raw = raw
        self.calendar = calendar
        self.fires_max = trigger.fires_max
        self._start_us = None if trigger.start_at is None else to_microseconds(trigger.start_at)
        self.end_us = None if trigger.end_at is None else to_microseconds(trigger.end_at)
        self._whole: Source = calendar or raw
        if calendar is not None and calendar.rule.has_hours:
            self._whole = HoursSource(calendar, calendar.rule)
        bounded = self._start_us is not None or self.end_us is not None
        self._next_us = self._next_bounded if bounded else self._whole.next_us

    def next_after(self, instant: datetime) -> datetime | None:
        """The first fire strictly after an aware instant, in UTC; None where nothing is to come."""
        fire = self._next_us(to_microseconds(instant))
        return None if fire is None else to_datetime(fire)

    def between(self, start: datetime, end: datetime, limit: int) -> list[datetime]:
        """The fires with start < fire <= end, at most `limit` of them (and at most `BETWEEN_MAX`), in order."""
        fires: list[datetime] = []
        end_us = to_microseconds(end)
        fire = self._next_us(to_microseconds(start))
        while fire is not None and fire <= end_us and len(fires) < min(limit, BETWEEN_MAX):
            fires.append(to_datetime(fire))
            fire = self._next_us(fire)
        return fires

    def next_us(self, after_us: int) -> int | None:
        """`next_after` in microseconds since 1970."""
        return self._next_us(after_us)

    def within_bounds(self, instant_us: int) -> bool:
        after_start = self._start_us is None or instant_us >= self._start_us
        return after_start and (self.end_us is None or instant_us <= self.end_us)

    def _next_bounded(self, after_us: int) -> int | None:
        if self._start_us is not None:
            after_us = max(after_us, self._start_us - 1)
        fire = self._whole.next_us(after_us)
        return None if fire is None or (self.end_us is not None and fire > self.end_us) else fire


def compile_trigger(
    trigger: Trigger, *, hash_key: str, anchor: datetime, calendars: tuple[NamedCalendar, ...] = ()
) -> Occurrences:
    """`hash_key` places every `H`; `anchor`, the schedule's creation, is where an interval without start counts from;
    `calendars` are those that the trigger names.

    Raises CronSyntaxError for an expression that cannot be read, else the invalid input that `validate_trigger` finds,
    or that of a calendar that is not among `calendars`.
    """
    if isinstance(trigger, CronTrigger):
        return _compile_cron(trigger, hash_key if may_use_hash(trigger.expression) else "", calendars)
    if isinstance(trigger, IntervalTrigger):
        raw = _interval_source(trigger, _every_us(trigger), anchor)
        return Occurrences(trigger, *_on_calendar(trigger, raw, calendars))
    _refuse_problems(trigger)
    if isinstance(trigger, MilestoneTrigger):
        return Occurrences(trigger, NoSource(), None)
    raw = AtSource(to_microseconds(trigger.at))
    return Occurrences(trigger, *_on_calendar(trigger, raw, calendars))


@lru_cache(maxsize=CRONS_CACHED_MAX)
def _compile_cron(trigger: CronTrigger, hash_key: str, calendars: tuple[NamedCalendar, ...]) -> Occurrences:
    spec = parse_cron(trigger.expression, hash_key)
    _refuse_problems(trigger)
    gap, overlap_hour = trigger.gap, trigger.overlap_hour
    timeline = timeline_of(trigger.timezone, gap, overlap_hour, wildcard=spec.wildcard)
    raw = CronSource(matcher_of(spec), zone_of(trigger.timezone), timeline, gap=gap, overlap_hour=overlap_hour)
    return Occurrences(trigger, *_on_calendar(trigger, raw, calendars))


def _refuse_problems(trigger: Trigger) -> None:
    problems = validate_trigger(trigger)
    if problems:
        raise invalid_input(problems)


@lru_cache(maxsize=INTERVALS_CACHED_MAX)
def _every_us(trigger: IntervalTrigger) -> int:
    """The distance of an interval that was found valid: schedules share few of them."""
    _refuse_problems(trigger)
    return round(trigger.every_seconds * SECOND_US)


def _interval_source(trigger: IntervalTrigger, every_us: int, anchor: datetime) -> IntervalSource:
    if trigger.start_at is None:
        return IntervalSource(to_microseconds(anchor) + every_us, every_us)
    return IntervalSource(to_microseconds(trigger.start_at), every_us)


def _on_calendar(
    trigger: Trigger, raw: Source, named: tuple[NamedCalendar, ...]
) -> tuple[Source, CalendarSource | None]:
    """The trigger's own times, and what its calendar leaves of them."""
    calendar = trigger.calendar
    if calendar is None:
        return raw, None
    rule = _rule_of(calendar, trigger.timezone if isinstance(trigger, CronTrigger) else "UTC", named)
    match calendar.on_excluded:
        case "skip":
            return raw, SkippingSource(raw, rule)
        case "next_business_day":
            return raw, ForwardSource(raw, rule)
        case "previous_business_day":
            return raw, BackwardSource(raw, rule)


@lru_cache(maxsize=RULES_CACHED_MAX)
def _rule_of(calendar: Calendar, zone: str, named: tuple[NamedCalendar, ...]) -> DayRule:
    return day_rule_of(calendar, zone, named)
