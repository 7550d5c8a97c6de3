"""Which local days are allowed, and what becomes of fires on the others.

Both sources below wrap another source. They look at whole days: once a day is known to be excluded, the rest of it is
stepped over, however many fires it holds.
"""

from typing import Final, TypeAlias

from rota.core.occurrences.instants import (
    BEGINNING_US,
    DAY_SECONDS,
    HORIZON_US,
    SECOND_US,
    date_of,
    day_number,
)
from rota.core.occurrences.sources import Source
from rota.core.occurrences.zones import Zone, zone_of
from rota.domain.triggers import Calendar

EXCLUDED_DAYS_MAX: Final = 4_000
"""So many excluded days one after the other end a search: such a calendar lets nothing through."""

MOVED_DAYS_MAX: Final = 31
"""A fire is not moved farther than this; beyond, it is dropped. So one answer looks at so many days only."""

REPEATS_MAX: Final = 20_000
"""Where a landing day repeats an hour, so many fires may map to times already past (3 h of seconds, and more)."""

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_THURSDAY: Final = 3


class DayRule:
    """A calendar on the clock of one zone. Days are counted from 1970-01-01."""

    __slots__ = ("_annual", "_excluded", "_included", "_weekdays", "zone")

    def __init__(self, calendar: Calendar, zone: Zone) -> None:
        self.zone = zone
        self._included = frozenset(day_number(day) for day in calendar.include_dates)
        self._excluded = frozenset(day_number(day) for day in calendar.exclude_dates)
        self._annual = frozenset(calendar.exclude_annual)
        self._weekdays = frozenset(WEEKDAYS.index(name) for name in calendar.weekdays)

    def day_of(self, instant_us: int) -> int:
        return self.zone.local(instant_us // SECOND_US) // DAY_SECONDS

    def day_start_us(self, day: int) -> int:
        return self.zone.instant(day * DAY_SECONDS) * SECOND_US

    def day_end_us(self, instant_us: int) -> int:
        """The first later instant on another date."""
        return self.zone.date_change(instant_us // SECOND_US, DAY_SECONDS) * SECOND_US

    def refusal(self, day: int) -> str | None:
        """Why nothing may fire on `day`; None where it may."""
        if day in self._included:
            return None
        if day in self._excluded:
            return "the calendar excludes this date"
        if self._annual and f"{date_of(day):%m-%d}" in self._annual:
            return f"the calendar excludes {date_of(day):%m-%d} of every year"
        weekday = (day + _THURSDAY) % 7
        if self._weekdays and weekday not in self._weekdays:
            return f"the calendar does not allow {date_of(day):%A}s"
        return None

    def next_allowed(self, day: int) -> int | None:
        """The first allowed day after `day` within `MOVED_DAYS_MAX`; None where there is none."""
        for later in range(day + 1, day + 1 + MOVED_DAYS_MAX):
            if self.refusal(later) is None:
                return later
        return None

    def first_of_run(self, day: int) -> int:
        """The first of the excluded days whose fires may be moved to `day`; `day` itself where there is none."""
        first = day
        while day - first < MOVED_DAYS_MAX and self.refusal(first - 1) is not None:
            first -= 1
        return first


def day_rule_of(calendar: Calendar, default_zone: str) -> DayRule:
    return DayRule(calendar, zone_of(calendar.timezone or default_zone))


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


class MovingSource:
    """Fires of excluded days are made at the same local time of the next allowed day.

    Fires that meet at one instant are one. A run of excluded days has one landing day, and no other fire lies between.
    """

    __slots__ = ("raw", "rule")

    def __init__(self, raw: Source, rule: DayRule) -> None:
        self.raw = raw
        self.rule = rule

    def next_us(self, after_us: int) -> int | None:
        if after_us >= HORIZON_US:
            return None
        cursor = min(after_us, self._run_before(max(after_us, BEGINNING_US)) - 1)
        for _ in range(EXCLUDED_DAYS_MAX):
            fire = self.raw.next_us(cursor)
            if fire is None:
                return None
            day = self.rule.day_of(fire)
            if self.rule.refusal(day) is None:
                if fire > after_us:
                    return fire
                cursor = after_us
                continue
            landing = self.rule.next_allowed(day)
            if landing is None:
                cursor = self.rule.day_end_us(fire) - 1
                continue
            cursor = max(after_us, self.rule.day_start_us(landing) - 1)
            moved = self._first_moved(day, landing, after_us)
            if moved is not None:
                regular = self.raw.next_us(cursor)
                return moved if regular is None else min(moved, regular)
        return None

    def origin_day(self, fire_us: int) -> int | None:
        """The latest excluded day from which this fire was moved; None for a fire of the day itself."""
        landing = self.rule.day_of(fire_us)
        if self.raw.next_us(fire_us - 1) == fire_us:
            return None
        for day in range(landing - 1, self.rule.first_of_run(landing) - 1, -1):
            if self._first_moved_from(day, landing, fire_us - 1) == fire_us:
                return day
        return None

    def _run_before(self, instant_us: int) -> int:
        """The start of the excluded days whose fires land on the instant's day or, if that is excluded, after it."""
        return self.rule.day_start_us(self.rule.first_of_run(self.rule.day_of(instant_us)))

    def _first_moved(self, first_day: int, landing: int, after_us: int) -> int | None:
        moved = (self._first_moved_from(day, landing, after_us) for day in range(first_day, landing))
        return min((fire for fire in moved if fire is not None), default=None)

    def _first_moved_from(self, day: int, landing: int, after_us: int) -> int | None:
        """The first fire after `after_us` among those of `day` moved to `landing`."""
        zone = self.rule.zone
        reached = zone.local(after_us // SECOND_US) - landing * DAY_SECONDS
        if reached >= DAY_SECONDS:
            return None
        begin = day * DAY_SECONDS + max(reached, 0)
        fire = self.raw.next_us(zone.instant(begin) * SECOND_US - 1)
        for _ in range(REPEATS_MAX):
            if fire is None or self.rule.day_of(fire) != day:
                return None
            moved = self._moved(fire, day, landing)
            if moved > after_us:
                return moved
            fire = self.raw.next_us(fire)
        return None

    def _moved(self, fire_us: int, day: int, landing: int) -> int:
        second, rest_us = divmod(fire_us, SECOND_US)
        local = self.rule.zone.local(second) + (landing - day) * DAY_SECONDS
        return self.rule.zone.instant(local) * SECOND_US + rest_us


CalendarSource: TypeAlias = SkippingSource | MovingSource
