"""Where fire times come from before bounds and calendars: a cron expression, an interval, one instant.

A source answers one question, in whole microseconds: what is the first fire strictly after this instant?
"""

from typing import Protocol

from rota.core.occurrences.instants import HORIZON_US, SECOND_US
from rota.core.occurrences.matching import CronMatcher
from rota.core.occurrences.timeline import Timeline
from rota.core.occurrences.zones import Zone
from rota.domain.triggers import Gap, OverlapHour


class Source(Protocol):
    """Fire times in ascending order, without end or up to `HORIZON`."""

    def next_us(self, after_us: int) -> int | None:
        """The first fire strictly after `after_us`; None where there is none."""
        ...


class CronSource:
    """A matcher laid on a zone's timeline. Fires on whole seconds."""

    __slots__ = ("gap", "matcher", "overlap_hour", "timeline", "zone")

    def __init__(
        self, matcher: CronMatcher, zone: Zone, timeline: Timeline, *, gap: Gap, overlap_hour: OverlapHour
    ) -> None:
        self.matcher = matcher
        self.zone = zone
        self.timeline = timeline
        self.gap: Gap = gap
        self.overlap_hour: OverlapHour = overlap_hour

    def next_us(self, after_us: int) -> int | None:
        fire = self.timeline.next_fire(self.matcher, after_us // SECOND_US + 1)
        return None if fire is None else fire * SECOND_US


class IntervalSource:
    """`first_us` + n × `every_us` for n = 0, 1, 2 …: never counted from the fire before, so it cannot drift."""

    __slots__ = ("every_us", "first_us")

    def __init__(self, first_us: int, every_us: int) -> None:
        self.first_us = first_us
        self.every_us = every_us

    def next_us(self, after_us: int) -> int | None:
        steps = max((after_us - self.first_us) // self.every_us + 1, 0)
        fire = self.first_us + steps * self.every_us
        return fire if fire < HORIZON_US else None


class AtSource:
    """One instant."""

    __slots__ = ("at_us",)

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def next_us(self, after_us: int) -> int | None:
        return self.at_us if after_us < self.at_us < HORIZON_US else None


class NoSource:
    """No time at all: what fires it is no clock."""

    __slots__ = ()

    def next_us(self, after_us: int) -> int | None:
        del after_us
        return None
