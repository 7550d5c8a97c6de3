"""Searching a trigger's nominal times, in bounded work however long nobody looked.

All instants are microseconds since 1970. A year of every second has 31 million times: they are bisected, not walked.
"""

from msgspec import Struct

from rota.core.occurrences import Occurrences
from rota.core.occurrences.instants import SECOND_US
from rota.domain.triggers import IntervalTrigger

# Beyond it, times of triggers other than plain intervals are told as "at least".
COUNTED_MAX = 1_000
OVERSHOOT_FACTOR = 4


class TimesCount(Struct, frozen=True):
    """How many times there were. Always exact for intervals without a calendar, else up to `COUNTED_MAX`."""

    count: int
    exact: bool

    def __str__(self) -> str:
        return str(self.count) if self.exact else f"at least {self.count}"


def every_us_of(occurrences: Occurrences) -> int | None:
    """The constant distance between two times, where there is one."""
    trigger = occurrences.trigger
    if isinstance(trigger, IntervalTrigger) and trigger.calendar is None:
        return round(trigger.every_seconds * SECOND_US)
    return None


def last_before(occurrences: Occurrences, known_us: int, limit_us: int) -> int:
    """The last time before `limit_us`; `known_us` is a time before it. About 100 look-ups at most.

    Invariant: `known_us` is a time, and none lies between `upper_us` and the limit.
    """
    upper_us = limit_us
    while True:
        following = occurrences.next_us(known_us)
        if following is None or following >= limit_us:
            return known_us
        known_us = following
        middle = (known_us + upper_us) // 2
        probe = occurrences.next_us(middle)
        if probe is not None and probe < limit_us:
            known_us = probe
        else:
            upper_us = middle


def count_through(occurrences: Occurrences, first_us: int, last_us: int) -> TimesCount:
    """How many times there are from `first_us` to `last_us`; both are times."""
    every_us = every_us_of(occurrences)
    if every_us is not None:
        # A first time that is off the grid (its trigger was changed) counts as one of its own.
        return TimesCount(-((first_us - last_us) // every_us) + 1, exact=True)
    found = 1 + len(take_through(occurrences, first_us, last_us, COUNTED_MAX))
    return TimesCount(min(found, COUNTED_MAX), exact=found <= COUNTED_MAX)


def take_through(occurrences: Occurrences, after_us: int, last_us: int, count_max: int) -> list[int]:
    """The first `count_max` times after `after_us`, up to and including `last_us`."""
    taken: list[int] = []
    time = occurrences.next_us(after_us)
    while time is not None and time <= last_us and len(taken) < count_max:
        taken.append(time)
        time = occurrences.next_us(time)
    return taken


def newest_through(occurrences: Occurrences, after_us: int, last_us: int, count_max: int) -> list[int]:
    """The last `count_max` times after `after_us`, up to and including `last_us`, which is a time; oldest first.

    A first time that is off the grid (rules of zones change) is a time, too: then `last_us` may be all there is.
    """
    every_us = every_us_of(occurrences)
    if every_us is not None:
        after_us = max(after_us, last_us - count_max * every_us)
    if after_us >= last_us:
        return []
    if count_max == 1:
        return [last_us]
    enough = OVERSHOOT_FACTOR * count_max
    found = take_through(occurrences, after_us, last_us, enough)
    if not found:
        return [last_us]
    if found[-1] == last_us:
        return found[-count_max:]
    return _bisected(occurrences, (after_us, last_us), count_max)


def _bisected(occurrences: Occurrences, window: tuple[int, int], count_max: int) -> list[int]:
    """Looks for a beginning from which there are at least `count_max` times, and not many more.

    Invariant: from `too_many_us` there are more than enough times, from `too_few_us` fewer than `count_max`.
    """
    after_us, last_us = window
    too_many_us, too_few_us = after_us, last_us - 1
    while True:
        middle = (too_many_us + too_few_us) // 2
        found = take_through(occurrences, middle, last_us, OVERSHOOT_FACTOR * count_max)
        if found[-1] != last_us:
            too_many_us = middle
        elif len(found) < count_max:
            too_few_us = middle
        else:
            return found[-count_max:]
