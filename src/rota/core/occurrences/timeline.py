"""How a job's local times are laid on real time when a zone's clock jumps.

The line of real time is cut wherever the offset changes or a policy applies. A plain piece has one offset and nothing
else to know. The others:

    muted    local times that repeat and were, or will be, fired in the other pass
    ghost    a second reading of the clock: the offset before a gap, held for the length of the gap (`shift`)
    pulled   local times that a gap skips, fired at the piece's first second (`next_valid`)

Wildcard jobs follow the local clock: each piece of theirs is plain. So is a correction of three hours or more.
"""

from bisect import bisect_right
from functools import lru_cache
from typing import Final

from msgspec import Struct

from rota.core.occurrences.instants import BEGINNING, HORIZON
from rota.core.occurrences.matching import CronMatcher
from rota.core.occurrences.zones import ClockChange, Zone, zone_of
from rota.domain.triggers import Gap, OverlapHour

TIMELINES_CACHED_MAX: Final = 2_048


class Effect(Struct, frozen=True):
    """What a policy does with instants from `start` to before `end`. `ghost` is an offset, `pulled` a local range."""

    start: int
    end: int
    muted: bool = False
    ghost: int | None = None
    pulled: tuple[int, int] | None = None


class Timeline:
    """The pieces: piece i is [cuts[i], cuts[i + 1]) with `offsets[i]` and `effects[i]` (empty where it is plain)."""

    __slots__ = ("cuts", "effects", "offset_high", "offset_low", "offsets")

    def __init__(self, zone: Zone, effects: list[Effect]) -> None:
        cuts = {*zone.starts, HORIZON}
        for effect in effects:
            cuts.update((effect.start, effect.end))
        self.cuts = sorted(cut for cut in cuts if BEGINNING <= cut <= HORIZON)
        starts = self.cuts[:-1]
        self.offsets = [zone.local(start) - start for start in starts]
        self.effects = _effects_by_piece(starts, effects)
        self.offset_low = zone.offset_low
        self.offset_high = zone.offset_high

    def next_fire(self, matcher: CronMatcher, instant: int) -> int | None:
        """The first fire that is not before `instant`, in seconds."""
        cuts = self.cuts
        while True:
            piece = bisect_right(cuts, instant) - 1
            if piece < 0:
                piece, instant = 0, cuts[0]
            elif piece == len(self.offsets):
                return None
            if self.effects[piece]:
                fire = self._next_in_special(matcher, piece, instant)
            else:
                offset = self.offsets[piece]
                local = matcher.next_local(instant + offset)
                if local is None:
                    return None
                fire = local - offset
            if fire is not None and fire < cuts[piece + 1]:
                return fire
            onward = self._skip_empty(matcher, cuts[piece + 1])
            if onward is None:
                return None
            instant = onward

    def _skip_empty(self, matcher: CronMatcher, instant: int) -> int | None:
        """An instant before which nothing can fire: no clock of the zone runs further ahead than `offset_high`."""
        local = matcher.next_local(instant + self.offset_low)
        return None if local is None else max(instant, local - self.offset_high)

    def _next_in_special(self, matcher: CronMatcher, piece: int, instant: int) -> int | None:
        candidates: list[int | None] = []
        effects = self.effects[piece]
        if not any(effect.muted for effect in effects):
            candidates.append(_read(matcher, instant, self.offsets[piece]))
        for effect in effects:
            if effect.ghost is not None:
                candidates.append(_read(matcher, instant, effect.ghost))
            if effect.pulled is not None and _any_within(matcher, *effect.pulled):
                candidates.append(effect.start)
        return min((fire for fire in candidates if fire is not None), default=None)


@lru_cache(maxsize=TIMELINES_CACHED_MAX)
def timeline_of(zone_name: str, gap: Gap, overlap_hour: OverlapHour, *, wildcard: bool) -> Timeline:
    zone = zone_of(zone_name)
    if wildcard:
        return _clock_timeline(zone_name)
    effects = (effect_of(change, gap, overlap_hour) for change in zone.all_changes())
    return Timeline(zone, [effect for effect in effects if effect is not None])


@lru_cache(maxsize=TIMELINES_CACHED_MAX)
def _clock_timeline(zone_name: str) -> Timeline:
    return Timeline(zone_of(zone_name), [])


def effect_of(change: ClockChange, gap: Gap, overlap_hour: OverlapHour) -> Effect | None:
    """What one change does to fixed-time jobs; None where they follow the clock."""
    at, gained = change.at, change.gained
    if change.is_correction:
        return None
    if gained > 0:
        if gap == "shift":
            return Effect(at, at + gained, ghost=change.before)
        pulled = (change.local_low, change.local_high)
        return Effect(at, at + 1, pulled=pulled) if gap == "next_valid" else None
    if overlap_hour == "first":
        return Effect(at, at - gained, muted=True)
    return Effect(at + gained, at, muted=True) if overlap_hour == "second" else None


def _effects_by_piece(starts: list[int], effects: list[Effect]) -> list[tuple[Effect, ...]]:
    by_piece: list[tuple[Effect, ...]] = [()] * len(starts)
    for effect in effects:
        place = max(bisect_right(starts, effect.start) - 1, 0)
        while place < len(starts) and starts[place] < effect.end:
            by_piece[place] = (*by_piece[place], effect)
            place += 1
    return by_piece


def _read(matcher: CronMatcher, instant: int, offset: int) -> int | None:
    local = matcher.next_local(instant + offset)
    return None if local is None else local - offset


def _any_within(matcher: CronMatcher, low: int, high: int) -> bool:
    local = matcher.next_local(low)
    return local is not None and local < high
