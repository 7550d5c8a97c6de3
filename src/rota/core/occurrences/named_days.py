"""Named calendars as sets of days: which dates a calendar has, also by rules of each year, and which hours of them.

A rule of each year is a date ("12-25"), a weekday of a month counted from its beginning or end ("11-thu#4",
"05-mon#-1"), or a distance in days from Western Easter ("easter+1").
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

from rota.core.occurrences.instants import date_of, day_number
from rota.domain.calendar import CalendarDays, NamedCalendar

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RULES_CACHED_MAX: Final = 1_024
EASTER_DAYS_BEFORE_MAX: Final = 80
EASTER_DAYS_AFTER_MAX: Final = 250
"""So far from Easter, a day is of the same year, whenever Easter is."""

_DATE: Final = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_NTH: Final = re.compile(r"(0[1-9]|1[0-2])-(mon|tue|wed|thu|fri|sat|sun)#([1-5]|-1)")
_EASTER: Final = re.compile(r"easter([+-][1-9][0-9]{0,2})?")
_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_SHORT_MONTHS: Final = {"02-30", "02-31", "04-31", "06-31", "09-31", "11-31"}
_DAY_SECONDS: Final = 86_400

YearlyRule: TypeAlias = Callable[[int], date | None]
"""The day that a rule names in a year; None where that year has none."""


@lru_cache(maxsize=RULES_CACHED_MAX)
def yearly_rule(text: str) -> YearlyRule | None:
    """The rule that `text` writes down; None where it is none."""
    fixed, nth, easter = _DATE.fullmatch(text), _NTH.fullmatch(text), _EASTER.fullmatch(text)
    if fixed is not None and text not in _SHORT_MONTHS:
        month, day = int(fixed[1]), int(fixed[2])
        return lambda year: _date(year, month, day)
    if nth is not None:
        month, weekday, place = int(nth[1]), WEEKDAYS.index(nth[2]), int(nth[3])
        return lambda year: _nth_weekday(year, month, weekday, place)
    if easter is not None and -EASTER_DAYS_BEFORE_MAX <= int(easter[1] or 0) <= EASTER_DAYS_AFTER_MAX:
        days = int(easter[1] or 0)
        return lambda year: easter_sunday(year) + timedelta(days=days)
    return None


def hours_window(text: str) -> tuple[int, int] | None:
    """First second and end of "09:00-17:00" within its day; None where it is no such text."""
    found = _HOURS.fullmatch(text)
    if found is None:
        return None
    start, end = (int(found[n]) * 3_600 + int(found[n + 1]) * 60 for n in (1, 3))
    return (start, end) if start < end <= _DAY_SECONDS else None


def easter_sunday(year: int) -> date:
    """Gregorian Easter (the method of Meeus, Jones and Butcher)."""
    golden, century, rest = year % 19, year // 100, year % 100
    epact = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    correction = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * correction + 114, 31)
    return date(year, month, day + 1)


class DaySet:
    """One named calendar, made ready to be asked. Days are counted from 1970-01-01."""

    __slots__ = ("_dates", "_ranges", "_rules", "_weekdays", "_years", "hours", "name")

    def __init__(self, calendar: NamedCalendar) -> None:
        days = calendar.days
        self.name = calendar.name
        self.hours = tuple(window for window in map(hours_window, days.hours) if window is not None)
        self._weekdays = frozenset(WEEKDAYS.index(name) for name in days.weekdays)
        self._dates = frozenset(day_number(day) for day in days.dates)
        self._ranges = tuple((day_number(one.first), day_number(one.last)) for one in days.ranges)
        self._rules = tuple(rule for rule in map(yearly_rule, days.yearly) if rule is not None)
        self._years: dict[int, frozenset[date]] = {}

    def __contains__(self, day: int) -> bool:
        if day in self._dates or (self._weekdays and date_of(day).weekday() in self._weekdays):
            return True
        if any(first <= day <= last for first, last in self._ranges):
            return True
        return bool(self._rules) and date_of(day) in self._of_year(date_of(day).year)

    def has_second(self, second: int) -> bool:
        """Whether its hours, all of them where it names none, have a second of the day."""
        return not self.hours or any(start <= second < end for start, end in self.hours)

    def _of_year(self, year: int) -> frozenset[date]:
        known = self._years.get(year)
        if known is None:
            known = frozenset(day for rule in self._rules if (day := rule(year)) is not None)
            self._years[year] = known
        return known


def is_empty(days: CalendarDays) -> bool:
    return not (days.weekdays or days.dates or days.ranges or days.yearly)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _nth_weekday(year: int, month: int, weekday: int, place: int) -> date | None:
    if place < 0:
        last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        return last - timedelta(days=(last.weekday() - weekday) % 7)
    first = date(year, month, 1)
    found = first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (place - 1))
    return found if found.month == month else None
