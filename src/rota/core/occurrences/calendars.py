"""Which local days, and which hours of them, are allowed; and the fires that are left where the others are dropped.

The sources below wrap another source. They step over what they know to be excluded, however many fires it holds.
`moving` has the sources that move fires to another day.
"""

from collections.abc import Sequence
from typing import Final

from rota.core.occurrences.instants import (
    DAY_SECONDS,
    SECOND_US,
    date_of,
    day_number,
)
from rota.core.occurrences.named_days import WEEKDAYS, DaySet
from rota.core.occurrences.sources import Source
from rota.core.occurrences.zones import Zone, zone_of
from rota.domain.calendar import NamedCalendar
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.triggers import Calendar

EXCLUDED_DAYS_MAX: Final = 4_000
"""So many excluded days one after the other end a search: such a calendar lets nothing through."""

DAYS_REMEMBERED_MAX: Final = 4_096

EXCLUDED_HOURS_MAX: Final = 4_000
"""So many stretches of excluded hours one after the other end a search, too."""

MOVED_DAYS_MAX: Final = 31
"""A fire is not moved farther than this; beyond, it is dropped. So one answer looks at so many days only."""

_THURSDAY: Final = 3


class DayRule:
    """A trigger's calendar on the clock of one zone. Days are counted from 1970-01-01."""

    __slots__ = ("_annual", "_exclude", "_excluded", "_included", "_known", "_only_on", "_weekdays", "zone")

    def __init__(self, calendar: Calendar, zone: Zone, named: dict[str, DaySet]) -> None:
        self.zone = zone
        self._known: dict[int, str | None] = {}
        self._included = frozenset(day_number(day) for day in calendar.include_dates)
        self._excluded = frozenset(day_number(day) for day in calendar.exclude_dates)
        self._annual = frozenset(calendar.exclude_annual)
        self._weekdays = frozenset(WEEKDAYS.index(name) for name in calendar.weekdays)
        self._exclude = tuple(named[name] for name in calendar.exclude)
        self._only_on = tuple(named[name] for name in calendar.only_on)

    def day_of(self, instant_us: int) -> int:
        return self.zone.local(instant_us // SECOND_US) // DAY_SECONDS

    def day_start_us(self, day: int) -> int:
        return self.zone.instant(day * DAY_SECONDS) * SECOND_US

    def day_end_us(self, instant_us: int) -> int:
        """The first later instant on another date."""
        return self.zone.date_change(instant_us // SECOND_US, DAY_SECONDS) * SECOND_US

    def refusal(self, day: int) -> str | None:
        """Why nothing may fire on `day`; None where it may."""
        known = self._known
        if day not in known:
            if len(known) >= DAYS_REMEMBERED_MAX:
                known.clear()
            known[day] = self._refusal(day)
        return known[day]

    def _refusal(self, day: int) -> str | None:
        if day in self._included:
            return None
        if day in self._excluded:
            return "the calendar excludes this date"
        if self._annual and f"{date_of(day):%m-%d}" in self._annual:
            return f"the calendar excludes {date_of(day):%m-%d} of every year"
        weekday = (day + _THURSDAY) % 7
        if self._weekdays and weekday not in self._weekdays:
            return f"the calendar does not allow {date_of(day):%A}s"
        return self._refused_by_name(day)

    @property
    def has_hours(self) -> bool:
        return any(days.hours for days in (*self._only_on, *self._exclude))

    def hour_refusal(self, instant_us: int) -> str | None:
        """Why nothing may fire at this hour of a day that is allowed; None where it may."""
        day, second = divmod(self.zone.local(instant_us // SECOND_US), DAY_SECONDS)
        for days in self._exclude:
            if days.hours and day in days and days.has_second(second):
                return f"calendar {days.name!r} excludes these hours"
        on = [days for days in self._only_on if day in days] if day not in self._included else []
        if on and not any(days.has_second(second) for days in on):
            return f"it is outside the hours of calendar {on[0].name!r}"
        return None

    def hours_change_us(self, instant_us: int) -> int:
        """The first later instant at which hours of a calendar begin or end, or the date changes."""
        day, second = divmod(self.zone.local(instant_us // SECOND_US), DAY_SECONDS)
        edges = {edge for days in (*self._only_on, *self._exclude) for window in days.hours for edge in window}
        later = (self.zone.instant(day * DAY_SECONDS + edge) * SECOND_US for edge in edges if edge > second)
        return min((edge for edge in later if edge > instant_us), default=self.day_end_us(instant_us))

    def _refused_by_name(self, day: int) -> str | None:
        for days in self._exclude:
            if not days.hours and day in days:
                return f"calendar {days.name!r} excludes this date"
        if self._only_on and not any(day in days for days in self._only_on):
            names = " or ".join(repr(days.name) for days in self._only_on)
            return f"the date is not in calendar {names}"
        return None

    def next_allowed(self, day: int) -> int | None:
        """The first allowed day after `day` within `MOVED_DAYS_MAX`; None where there is none."""
        for later in range(day + 1, day + 1 + MOVED_DAYS_MAX):
            if self.refusal(later) is None:
                return later
        return None

    def previous_allowed(self, day: int) -> int | None:
        """The last allowed day before `day` within `MOVED_DAYS_MAX`; None where there is none."""
        for earlier in range(day - 1, day - 1 - MOVED_DAYS_MAX, -1):
            if self.refusal(earlier) is None:
                return earlier
        return None

    def first_of_run(self, day: int) -> int:
        """The first of the excluded days whose fires may be moved on to `day`; `day` itself where none is."""
        first = day
        while day - first < MOVED_DAYS_MAX and self.refusal(first - 1) is not None:
            first -= 1
        return first

    def last_of_run(self, day: int) -> int:
        """The last of the excluded days whose fires may be moved back to `day`; `day` itself where none is."""
        last = day
        while last - day < MOVED_DAYS_MAX and self.refusal(last + 1) is not None:
            last += 1
        return last


def day_rule_of(calendar: Calendar, default_zone: str, named: Sequence[NamedCalendar]) -> DayRule:
    """Raises the invalid input of a name that is not among `named`."""
    sets = {one.name: DaySet(one) for one in named}
    problems = [
        FieldProblem(f"calendar.{field}[{place}]", f"there is no calendar {name!r}", "create it first, or leave it out")
        for field, names in (("exclude", calendar.exclude), ("only_on", calendar.only_on))
        for place, name in enumerate(names)
        if name not in sets
    ]
    if problems:
        raise invalid_input(problems)
    return DayRule(calendar, zone_of(calendar.timezone or default_zone), sets)


class HoursSource:
    """Fires outside the allowed hours are dropped."""

    __slots__ = ("raw", "rule")

    def __init__(self, raw: Source, rule: DayRule) -> None:
        self.raw = raw
        self.rule = rule

    def next_us(self, after_us: int) -> int | None:
        fire = self.raw.next_us(after_us)
        for _ in range(EXCLUDED_HOURS_MAX):
            if fire is None or self.rule.hour_refusal(fire) is None:
                return fire
            fire = self.raw.next_us(self.rule.hours_change_us(fire) - 1)
        return None


class SkippingSource:
    """Fires of excluded days are dropped."""

    __slots__ = ("raw", "rule")

    def __init__(self, raw: Source, rule: DayRule) -> None:
        self.raw = raw
        self.rule = rule

    def next_us(self, after_us: int) -> int | None:
        fire = self.raw.next_us(after_us)
        for _ in range(EXCLUDED_DAYS_MAX):
            if fire is None or self.rule.refusal(self.rule.day_of(fire)) is None:
                return fire
            fire = self.raw.next_us(self.rule.day_end_us(fire) - 1)
        return None

    def landing_of(self, day: int) -> int | None:
        """Where fires of an excluded day go: nowhere."""
        del day
        return None
