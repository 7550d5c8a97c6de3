"""Fires of excluded days, made at the same local time of another day: the next allowed one, or the previous one."""

from typing import Final, TypeAlias

from rota.core.occurrences.calendars import EXCLUDED_DAYS_MAX, DayRule, SkippingSource
from rota.core.occurrences.instants import BEGINNING_US, DAY_SECONDS, HORIZON_US, SECOND_US
from rota.core.occurrences.sources import Source

REPEATS_MAX: Final = 20_000
"""Where a landing day repeats an hour, so many fires may map to times already past (3 h of seconds, and more)."""


class _Mover:
    """What both directions share: the fires of one day laid on another."""

    __slots__ = ("raw", "rule")

    def __init__(self, raw: Source, rule: DayRule) -> None:
        self.raw = raw
        self.rule = rule

    def first_moved_from(self, day: int, landing: int, after_us: int) -> int | None:
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
            moved = self._at_landing(fire, day, landing)
            if moved > after_us:
                return moved
            fire = self.raw.next_us(fire)
        return None

    def _at_landing(self, fire_us: int, day: int, landing: int) -> int:
        second, rest_us = divmod(fire_us, SECOND_US)
        local = self.rule.zone.local(second) + (landing - day) * DAY_SECONDS
        return self.rule.zone.instant(local) * SECOND_US + rest_us


class ForwardSource(_Mover):
    """Fires of excluded days are made at the same local time of the next allowed day.

    Fires that meet at one instant are one. A run of excluded days has one landing day, and no other fire lies between.
    """

    __slots__ = ()

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

    def landing_of(self, day: int) -> int | None:
        """The day on which fires of an excluded day are made; None where they are dropped."""
        return self.rule.next_allowed(day)

    def origin_day(self, fire_us: int) -> int | None:
        """The latest excluded day from which this fire was moved; None for a fire of the day itself."""
        landing = self.rule.day_of(fire_us)
        if self.raw.next_us(fire_us - 1) == fire_us:
            return None
        for day in range(landing - 1, self.rule.first_of_run(landing) - 1, -1):
            if self.first_moved_from(day, landing, fire_us - 1) == fire_us:
                return day
        return None

    def _run_before(self, instant_us: int) -> int:
        """The start of the excluded days whose fires land on the instant's day or, if that is excluded, after it."""
        return self.rule.day_start_us(self.rule.first_of_run(self.rule.day_of(instant_us)))

    def _first_moved(self, first_day: int, landing: int, after_us: int) -> int | None:
        moved = (self.first_moved_from(day, landing, after_us) for day in range(first_day, landing))
        return min((fire for fire in moved if fire is not None), default=None)


class BackwardSource(_Mover):
    """Fires of excluded days are made at the same local time of the previous allowed day.

    Fires that meet at one instant are one. A landing day takes the fires of the excluded days right behind it.
    """

    __slots__ = ()

    def next_us(self, after_us: int) -> int | None:
        if after_us >= HORIZON_US:
            return None
        today = self.rule.day_of(max(after_us, BEGINNING_US))
        cursor = min(after_us, self.rule.day_start_us(today) - 1)
        for _ in range(EXCLUDED_DAYS_MAX):
            fire = self.raw.next_us(cursor)
            if fire is None:
                return None
            day = self.rule.day_of(fire)
            landing = day if self.rule.refusal(day) is None else self.rule.previous_allowed(day)
            found = None if landing is None or landing < today else self._first_of(landing, after_us)
            if found is not None:
                return found
            cursor = max(cursor, self.rule.day_end_us(fire) - 1)
        return None

    def landing_of(self, day: int) -> int | None:
        """The day on which fires of an excluded day are made; None where they are dropped."""
        return self.rule.previous_allowed(day)

    def origin_day(self, fire_us: int) -> int | None:
        """The earliest excluded day from which this fire was moved; None for a fire of the day itself."""
        landing = self.rule.day_of(fire_us)
        if self.raw.next_us(fire_us - 1) == fire_us:
            return None
        for day in range(landing + 1, self.rule.last_of_run(landing) + 1):
            if self.first_moved_from(day, landing, fire_us - 1) == fire_us:
                return day
        return None

    def _first_of(self, landing: int, after_us: int) -> int | None:
        """The first fire after `after_us` of all that are made on `landing`."""
        own = self.raw.next_us(max(after_us, self.rule.day_start_us(landing) - 1))
        behind = range(landing + 1, self.rule.last_of_run(landing) + 1)
        found = [self.first_moved_from(day, landing, after_us) for day in behind]
        if own is not None and self.rule.day_of(own) == landing:
            found.append(own)
        return min((fire for fire in found if fire is not None), default=None)


MovingSource: TypeAlias = ForwardSource | BackwardSource
CalendarSource: TypeAlias = SkippingSource | MovingSource
