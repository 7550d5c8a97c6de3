"""Which local seconds an expression names, on a clock that never jumps. Knows no time zone.

A month's matching days depend only on its length and on the weekday of its first day: 28 cases, each worked out once.
"""

from bisect import bisect_left
from calendar import monthrange
from functools import lru_cache
from typing import Final

from rota.core.occurrences.instants import DAY_SECONDS, EPOCH_ORDINAL, date_of
from rota.core.occurrences.syntax import CronSpec, DaysOfMonth, DaysOfWeek

MONTHS_SEARCHED_MAX: Final = 12 * 48
"""The rarest day that exists, a given weekday on 29 February, returns within 40 years."""

DAYS_REMEMBERED_MAX: Final = 1_024
MATCHERS_CACHED_MAX: Final = 4_096
DAY_MINUTES: Final = 1_440
_YEAR_SEARCHED_MAX: Final = 9_900
_UNKNOWN: Final = -(10**9)


class CronMatcher:
    """The local seconds of one expression, in ascending order. Values only; what it remembers is bounded."""

    __slots__ = ("_days", "_first_of_day", "_minutes", "_month_masks", "_seconds", "spec")

    def __init__(self, spec: CronSpec) -> None:
        self.spec = spec
        hours = _values(spec.hours)
        minutes = _values(spec.minutes)
        self._minutes = tuple(hour * 60 + minute for hour in hours for minute in minutes)
        self._seconds = _values(spec.seconds)
        self._first_of_day = self._minutes[0] * 60 + self._seconds[0]
        self._days: dict[int, int | None] = {}
        self._month_masks: dict[tuple[int, int], int] = {}

    def next_local(self, local: int) -> int | None:
        """The earliest matching local second that is not before `local`; None where no date ever matches."""
        day = local // DAY_SECONDS
        matching = self._days.get(day, _UNKNOWN)
        if matching is _UNKNOWN:
            matching = self._next_day(day)
        if matching == day:
            minutes, seconds = self._minutes, self._seconds
            minute = local // 60 - day * DAY_MINUTES
            place = bisect_left(minutes, minute)
            if place < len(minutes):
                if minutes[place] != minute:
                    return day * DAY_SECONDS + minutes[place] * 60 + seconds[0]
                second = local % 60
                if second <= seconds[-1]:
                    return local - second + seconds[bisect_left(seconds, second)]
                if place + 1 < len(minutes):
                    return day * DAY_SECONDS + minutes[place + 1] * 60 + seconds[0]
            matching = self._next_day(day + 1)
        return None if matching is None else matching * DAY_SECONDS + self._first_of_day

    def matches(self, local: int) -> bool:
        return self.next_local(local) == local

    def _next_day(self, day: int) -> int | None:
        matching = self._days.get(day, _UNKNOWN)
        if matching is _UNKNOWN:
            if len(self._days) >= DAYS_REMEMBERED_MAX:
                self._days.clear()
            matching = self._days[day] = self._search_day(day)
        return matching

    def _search_day(self, day: int) -> int | None:
        date = date_of(day)
        year, month, already_past = date.year, date.month, date.day
        for _ in range(MONTHS_SEARCHED_MAX):
            if self.spec.months >> month & 1:
                first_weekday, length = monthrange(year, month)
                mask = self._month_mask(length, (first_weekday + 1) % 7) >> already_past << already_past
                if mask:
                    return date.replace(year, month, _lowest(mask)).toordinal() - EPOCH_ORDINAL
            year, month, already_past = (year, month + 1, 0) if month < 12 else (year + 1, 1, 0)
            if year > _YEAR_SEARCHED_MAX:
                break
        return None

    def _month_mask(self, length: int, first_weekday: int) -> int:
        key = length, first_weekday
        if key not in self._month_masks:
            spec = self.spec
            of_month = _days_of_month_mask(spec.days_of_month, length, first_weekday)
            of_week = _days_of_week_mask(spec.days_of_week, length, first_weekday)
            self._month_masks[key] = of_month | of_week if spec.days_either else of_month & of_week
        return self._month_masks[key]


@lru_cache(maxsize=MATCHERS_CACHED_MAX)
def matcher_of(spec: CronSpec) -> CronMatcher:
    return CronMatcher(spec)


def _values(bits: int) -> tuple[int, ...]:
    return tuple(value for value in range(bits.bit_length()) if bits >> value & 1)


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _weekday(day: int, first_weekday: int) -> int:
    """Sunday is 0."""
    return (first_weekday + day - 1) % 7


def _days_of_month_mask(days: DaysOfMonth, length: int, first_weekday: int) -> int:
    mask = days.bits & ((2 << length) - 1)
    for before_last in days.from_end:
        if before_last < length:
            mask |= 1 << (length - before_last)
    for day in days.nearest_weekday:
        if day <= length:
            mask |= 1 << _nearest_weekday(day, length, first_weekday)
    if days.last_weekday:
        mask |= 1 << _nearest_weekday(length, length, first_weekday)
    return mask


def _nearest_weekday(day: int, length: int, first_weekday: int) -> int:
    """The weekday nearest to `day` that is in the same month (Quartz's `W`)."""
    weekday = _weekday(day, first_weekday)
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _days_of_week_mask(days: DaysOfWeek, length: int, first_weekday: int) -> int:
    mask = 0
    for day in range(1, length + 1):
        weekday = _weekday(day, first_weekday)
        last = weekday in days.last and day + 7 > length
        if days.bits >> weekday & 1 or last or (weekday, (day + 6) // 7) in days.nth:
            mask |= 1 << day
    return mask
