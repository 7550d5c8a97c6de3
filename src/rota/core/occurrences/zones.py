"""IANA time zones as tables of offset changes.

The data is that of the `tzdata` package, which is pinned with the other dependencies; the machine's own zone files are
never read, so two machines with one lock agree on every occurrence. A zone is read once and kept: constant data, like
a module.
"""

from bisect import bisect_right
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Final

from msgspec import Struct

from rota.core.occurrences.instants import BEGINNING, HORIZON
from rota.core.occurrences.tzif import OffsetChange, read_offset_changes
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

ZONES_CACHED_MAX: Final = 1_024
CORRECTION_SECONDS: Final = 3 * 3_600
"""From this size on a change is a correction of the clock or calendar, not daylight saving (Debian's cron)."""


class ClockChange(Struct, frozen=True):
    """At the instant `at` the offset goes from `before` to `after` (seconds)."""

    at: int
    before: int
    after: int

    @property
    def gained(self) -> int:
        """Seconds that the local clock jumps forward; negative where it is set back."""
        return self.after - self.before

    @property
    def is_correction(self) -> bool:
        return self.gained >= CORRECTION_SECONDS or self.gained < -CORRECTION_SECONDS

    @property
    def local_low(self) -> int:
        """The first local second that is skipped, or shown twice."""
        return self.at + min(self.before, self.after)

    @property
    def local_high(self) -> int:
        """The first local second after those that are skipped, or shown twice."""
        return self.at + max(self.before, self.after)


class Zone:
    """One zone: `starts[i]` is the instant from which `offsets[i]` holds. Instants and local times in seconds."""

    __slots__ = ("name", "offset_high", "offset_low", "offsets", "starts")

    def __init__(self, name: str, changes: tuple[OffsetChange, ...]) -> None:
        self.name = name
        self.starts = tuple(change.at for change in changes)
        self.offsets = tuple(change.offset for change in changes)
        self.offset_low = min(self.offsets)
        self.offset_high = max(self.offsets)

    def local(self, instant: int) -> int:
        """What the local clock shows."""
        return instant + self.offsets[self._place(instant)]

    def instant(self, local: int) -> int:
        """The first instant at which the local clock shows `local`, or has just jumped over it."""
        place = self._place(local - self.offset_high)
        while place + 1 < len(self.starts) and self.starts[place + 1] + self.offsets[place] <= local:
            place += 1
        return max(local - self.offsets[place], self.starts[place])

    def date_change(self, instant: int, day_seconds: int) -> int:
        """The first later instant that is on another local date."""
        place = self._place(instant)
        today = (instant + self.offsets[place]) // day_seconds
        while True:
            change = (today + 1) * day_seconds - self.offsets[place]
            if place + 1 == len(self.starts) or change < self.starts[place + 1]:
                return change
            place += 1
            if (self.starts[place] + self.offsets[place]) // day_seconds != today:
                return self.starts[place]

    def changes(self, after: int, until: int) -> Iterator[ClockChange]:
        """The changes with after < at <= until, in order."""
        for place in range(max(1, bisect_right(self.starts, after)), len(self.starts)):
            if self.starts[place] > until:
                return
            yield ClockChange(self.starts[place], self.offsets[place - 1], self.offsets[place])

    def all_changes(self) -> Iterator[ClockChange]:
        return self.changes(BEGINNING, HORIZON)

    def _place(self, instant: int) -> int:
        return max(bisect_right(self.starts, instant) - 1, 0)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every name that a trigger may use."""
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split())


@lru_cache(maxsize=ZONES_CACHED_MAX)
def zone_of(name: str) -> Zone:
    """Raises the invalid input of `timezone` for a name that is not in the tz database."""
    problem = zone_problem(name)
    if problem is not None:
        raise invalid_input([problem])
    tzif = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    return Zone(name, read_offset_changes(tzif))


def zone_problem(name: str, field: str = "timezone") -> FieldProblem | None:
    """None for a known name. The remedy suggests the nearest one."""
    if name in zone_names():
        return None
    return FieldProblem(field, f"{name[:100]!r} is not an IANA time zone", _zone_remedy(name))


def _zone_remedy(name: str) -> str:
    by_lower_name = {_plain(known): known for known in zone_names()}
    nearest = get_close_matches(_plain(name[:100]), sorted(by_lower_name), n=1)
    if nearest:
        return f"did you mean {by_lower_name[nearest[0]]!r}?"
    by_city = {_plain(known.rpartition("/")[2]): known for known in sorted(zone_names(), reverse=True)}
    nearest = get_close_matches(_plain(name[:100].rpartition("/")[2]), sorted(by_city), n=1)
    if nearest:
        return f"did you mean {by_city[nearest[0]]!r}?"
    return "use a name such as 'Europe/Paris', 'America/New_York' or 'UTC'"


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_")
