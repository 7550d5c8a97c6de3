"""A slow and obvious reading of the rules: look at the wall clock at every step of real time; write down what fires.

It shares nothing with `rota.core.occurrences`: the wall clock is Python's own `zoneinfo`, the meaning of a job is a
function of a local time, and clock changes are noticed by watching the clock, as cron's loop does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

LARGE = timedelta(hours=3)


@cache
def wall_clock(zone_name: str) -> ZoneInfo:
    """The zone as the `tzdata` package has it, whatever this machine has installed."""
    with files("tzdata").joinpath("zoneinfo", *zone_name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=zone_name)


@dataclass(frozen=True)
class Job:
    """What a trigger asks for. `names` tells whether a local time is one of the job's."""

    names: Callable[[datetime], bool]
    wildcard: bool
    gap: str = "next_valid"
    overlap_hour: str = "first"


class Reading(NamedTuple):
    """At `instant` the wall clock shows `local` (without a zone)."""

    instant: datetime
    local: datetime


def readings(zone_name: str, start: datetime, end: datetime, step: timedelta) -> list[Reading]:
    """The wall clock at every step from `start` to before `end`."""
    zone = wall_clock(zone_name)
    steps = range((end - start) // step)
    instants = (start + step * number for number in steps)
    return [Reading(instant, instant.astimezone(zone).replace(tzinfo=None)) for instant in instants]


def fires(job: Job, watched: Sequence[Reading], step: timedelta) -> set[datetime]:
    """All instants at which the job fires while the clock is watched.

    The first and last three hours are not to be relied on: a clock change just outside would not have been seen.
    """
    as_shown = {reading.instant for reading in watched if job.names(reading.local)}
    if job.wildcard:
        return as_shown
    muted: set[datetime] = set()
    extra: set[datetime] = set()
    for before, now in pairwise(watched):
        expected = before.local + step
        jump = now.local - expected
        if timedelta(0) < jump < LARGE:
            extra |= made_up(job, expected, now, step)
        elif -LARGE <= jump < timedelta(0):
            muted |= not_repeated(job, watched, now.instant, -jump)
    return (as_shown - muted) | extra


def made_up(job: Job, first_missing: datetime, now: Reading, step: timedelta) -> set[datetime]:
    """The fires that stand for local times that the clock has just jumped over."""
    found: set[datetime] = set()
    missing = first_missing
    while missing < now.local:
        if job.names(missing) and job.gap == "next_valid":
            found.add(now.instant)
        if job.names(missing) and job.gap == "shift":
            found.add(now.instant + (missing - first_missing))
        missing += step
    return found


def not_repeated(job: Job, watched: Sequence[Reading], change: datetime, length: timedelta) -> set[datetime]:
    """The instants of the pass that does not count, of the two in which the clock shows the same times."""
    if job.overlap_hour == "first":
        return {reading.instant for reading in watched if change <= reading.instant < change + length}
    if job.overlap_hour == "second":
        return {reading.instant for reading in watched if change - length <= reading.instant < change}
    return set()


def clock_changes(zone_name: str, first_year: int, last_year: int) -> list[datetime]:
    """The instants, to the second, at which the zone's offset differs from the second before."""
    zone = wall_clock(zone_name)
    found: list[datetime] = []
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    end = datetime(last_year + 1, 1, 1, tzinfo=UTC)
    offset = day.astimezone(zone).utcoffset()
    while day < end:
        next_day = day + timedelta(days=1)
        while next_day.astimezone(zone).utcoffset() != offset:
            change = _first_with_another_offset(zone, day, next_day)
            found.append(change)
            offset, day = change.astimezone(zone).utcoffset(), change
        day = next_day
    return found


def _first_with_another_offset(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    offset = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high
