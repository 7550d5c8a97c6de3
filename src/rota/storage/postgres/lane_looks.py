"""Where looks at one queue go: through which lanes, how far into each, and from where on.

A lane holds one tenant's claimable runs of one priority. Looks are bounded: they go through the lanes that the last
ones left with something in them, each up to its tenant's share (`core.fairness`), and through the stretches between
them, in which others may have appeared. Where there are more lanes than can be remembered, looks walk on from one to
the next, a part of them at a time, and each gets a share by weight.

What was claimed leaves entries in the index that workers claim by. The server removes them when no snapshot can see
them any more; until then, each look passes all of them before it finds a run. A transaction that stays open for half
an hour would stop the queue. So a look that passed too many in vain makes the next ones begin in each lane where it
ended, less a slack that is as wide as it can be without passing too many again. Behind that floor a run may appear all
the same: it came late, or was given back. Full looks find it; they are as rare as keeps their cost a small part of the
time, and when one was cheap, all looks are full again. What this very process puts back, or calls to its turn, it need
not look for: it is told where that stands. This module decides only where looks go: it never hides a run for good.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from rota.core.fairness import FairShare
from rota.domain.ids import TenantId
from rota.storage.postgres.look_floors import FULL_LOOK_PAUSE_PER_ENTRY, PASSED_IN_VAIN_MAX, SLACK_FIRST

# Lanes that a look finds beside those that it knows.
FOUND_PER_LOOK_MAX = 32
# Lanes that are remembered while looks are cheap: more are walked through. Floors are worth more memory.
KNOWN_MAX = 31
FLOORED_MAX = 256
WOKEN_PER_LOOK_MAX = 1_000
SLACK_MAX = timedelta(minutes=1)
SLACK_MIN = timedelta(milliseconds=1)
NARROWING = 8
CHEAP_LOOKS_BEFORE_WIDENING = 16
_NIL = "00000000-0000-0000-0000-000000000000"

Lane: TypeAlias = tuple[int, TenantId]
Floor: TypeAlias = tuple[datetime, str]
# Before the first lane of a queue, behind its last one, and a tenant that stands before all others of its priority.
TOP: Lane = (10, TenantId(""))
BOTTOM: Lane = (-1, TenantId(""))
_BEFORE_ALL = TenantId("\U0010ffff")


class LookPlan(NamedTuple):
    """The lanes to go through, with their quotas and floors, and the stretches to find others in."""

    priorities: list[int]
    tenants: list[TenantId]
    quotas: list[int | None]
    floors_at: list[datetime | None]
    floors_id: list[str | None]
    full_again_at: datetime | None
    top_priorities: list[int]
    top_tenants: list[TenantId]
    bottom_priorities: list[int]
    bottom_tenants: list[TenantId]
    found_max: int
    asleep_floor: datetime | None
    woken_max: int


class LaneSeen(NamedTuple):
    """One lane of a look, in the order of visits: what it might give, and what it gave (serial runs are counted).

    A quota of -1: a limit leaves no room for any of it.
    """

    lane: Lane
    weight: int
    quota: int
    picked_count: int


class Look(NamedTuple):
    """What one look saw. `last` is the place of the last run that was taken from a lane. `limit` counts runs."""

    now: datetime
    is_full: bool
    limit: int
    entries_count: int
    lanes: Sequence[LaneSeen]
    found_count: int
    woken_count: int
    is_partial: bool
    last: dict[Lane, Floor]

    @property
    def picked_count(self) -> int:
        return sum(seen.picked_count for seen in self.lanes)

    @property
    def is_filled(self) -> bool:
        return self.picked_count >= self.limit

    @property
    def visited_count(self) -> int:
        """How many lanes were seen to their quota or their end: where the limit was reached, those before the last."""
        if not self.is_filled:
            return len(self.lanes)
        return max((place for place, seen in enumerate(self.lanes) if seen.picked_count), default=0)

    @property
    def passed_in_vain(self) -> int:
        return max(0, self.entries_count - self.picked_count - self.woken_count - self.found_count)


class LaneLooks:
    """The looks of one process at one queue."""

    def __init__(self) -> None:
        self.share = FairShare()
        self._known: dict[Lane, Floor | None] = {}
        self._idle: set[Lane] = set()
        # Where a walk goes on; None: looks know all lanes that had something, and where a walk begins.
        self._walked_to: Lane | None = None
        self._is_walking = False
        self._asleep_floor: datetime | None = None
        # Where this process has put something back behind the floor of a lane, for its next look there.
        self._returned: dict[Lane, datetime] = {}
        self._slack = SLACK_FIRST
        self._cheap_looks_count = 0
        self._full_again_at: datetime | None = None
        self._full_pause = timedelta(0)
        self._seen_at: datetime | None = None

    def plan(self, limit: int) -> LookPlan:
        lanes = self._lanes_in_order(limit)
        floors = [self._floor(lane) for lane, _ in lanes]
        return LookPlan(
            [priority for (priority, _), _ in lanes],
            [tenant_id for (_, tenant_id), _ in lanes],
            [quota for _, quota in lanes],
            [None if floor is None else floor[0] for floor in floors],
            [None if floor is None else floor[1] for floor in floors],
            self._full_again_at,
            *_columns(self._stretches()),
            FOUND_PER_LOOK_MAX,
            self._asleep_floor,
            WOKEN_PER_LOOK_MAX,
        )

    @property
    def is_lean(self) -> bool:
        """Whether looks begin at floors."""
        return self._full_again_at is not None

    def note_returned(self, lane: Lane, due_at: datetime) -> None:
        """A run stands there (again): the next look at its lane begins no later, whatever the last ones have passed."""
        if self._known.get(lane) is not None:
            self._returned[lane] = min(due_at, self._returned.get(lane, due_at))

    def _floor(self, lane: Lane) -> Floor | None:
        floor, returned_at = self._known[lane], self._returned.pop(lane, None)
        if floor is None or returned_at is None:
            return floor
        return min(floor, (returned_at, _NIL))

    def note_failed(self) -> None:
        """It may have been a full look that takes longer than anybody waits: the next one is not to be another."""
        if self._full_again_at is not None and self._seen_at is not None:
            self._full_again_at = max(self._full_again_at, self._seen_at + self._full_pause)

    def quotas(self, lanes: Sequence[Lane], limit: int) -> list[tuple[Lane, int]]:
        """The share of each, if all have enough: highest priority first, then whoever is next."""
        shares: list[tuple[Lane, int]] = []
        for priority in sorted({priority for priority, _ in lanes}, reverse=True):
            tenants = self.share.order([tenant_id for place, tenant_id in lanes if place == priority])
            counts = self.share.allot(tenants, limit)
            shares += [((priority, tenant_id), count) for tenant_id, count in zip(tenants, counts, strict=True)]
        return shares

    def plan_walk(self) -> tuple[list[int], list[TenantId], list[int], list[TenantId]]:
        """The stretches of a look that knows no lanes."""
        stretches = [(TOP, BOTTOM)] if self._walked_to is None else _stretches_from(self._walked_to)
        return _columns(stretches)

    def note_walk(self, visited: Sequence[Lane], *, is_cut: bool, is_filled: bool) -> bool:
        """Takes the lanes of a look that knew none, in their order, and tells whether it has left any out."""
        is_partial = is_cut or self._walked_to is not None
        self._walked_to = visited[-1] if visited and is_cut else None
        return is_partial and not is_filled

    def note(self, look: Look) -> bool:
        """Takes what a look has seen, and tells whether another one may find more at once.

        What a partial look left alone, because it was serial or for a limit, stays where it is: such a look tells
        nothing of where others are to begin.
        """
        self._seen_at = look.now
        for seen in look.lanes:
            self.share.weigh(seen.lane[1], seen.weight)
        if not look.is_partial:
            self.share.charge([(seen.lane[1], seen.picked_count) for seen in look.lanes])
            self._note_floors(look)
        is_cut = look.found_count >= FOUND_PER_LOOK_MAX or self._walked_to is not None
        has_given_up = any(seen.quota < 0 and seen.lane in self._known for seen in look.lanes)
        self._note_lanes(look)
        self._note_place(look)
        if look.is_partial or look.is_filled:
            return look.is_partial and (is_cut or has_given_up)
        has_filled = any(0 < seen.quota <= seen.picked_count for seen in look.lanes)
        has_left_out = any(seen.quota == 0 for seen in look.lanes)
        return has_filled or has_left_out or is_cut or look.woken_count > 0

    def _lanes_in_order(self, limit: int) -> list[tuple[Lane, int | None]]:
        """Each with its quota; those that had nothing get one by weight, as those that come anew."""
        active = self.quotas([lane for lane in self._known if lane not in self._idle], limit)
        return [*((lane, None) for lane in self._known if lane in self._idle), *active]

    def _stretches(self) -> list[tuple[Lane, Lane]]:
        if self._is_walking:
            if self._walked_to is None:
                return [(TOP, BOTTOM)]
            return _stretches_from(self._walked_to)
        edges = [TOP, *sorted(self._known, reverse=True), BOTTOM]
        return list(pairwise(edges))

    def _note_lanes(self, look: Look) -> None:
        """Remembers lanes that may have more; where looks are dear, also those that have not, for their floors."""
        is_lean = self._full_again_at is not None
        for place, seen in enumerate(look.lanes):
            if seen.quota < 0:
                self._known.pop(seen.lane, None)
                self._idle.discard(seen.lane)
                continue
            self._known.setdefault(seen.lane, None)
            if place >= look.visited_count:
                continue
            self._idle.discard(seen.lane)
            if seen.picked_count < seen.quota and is_lean:
                self._idle.add(seen.lane)
            elif seen.picked_count < seen.quota:
                del self._known[seen.lane]
        if is_lean:
            self._forget_some()
        else:
            self._known = {lane: floor for lane, floor in self._known.items() if lane not in self._idle}
            self._idle.clear()

    def _note_place(self, look: Look) -> None:
        """Walks where there are too many lanes, until a look has gone through all of them."""
        is_cut = look.found_count >= FOUND_PER_LOOK_MAX
        if self._full_again_at is not None:
            self._is_walking, self._walked_to = False, None
            return
        if self._is_walking and self._walked_to is None and not is_cut:
            self._is_walking = False
        self._is_walking = self._is_walking or is_cut or len(self._known) > KNOWN_MAX
        if not self._is_walking:
            return
        self._known = {}
        if look.is_filled:
            self._walked_to = next((seen.lane for seen in reversed(look.lanes) if seen.picked_count), None)
        else:
            self._walked_to = look.lanes[-1].lane if is_cut else None

    def _forget_some(self) -> None:
        """The longest known first; what was claimed there is passed once more, if they come again."""
        for lane in list(self._known)[: max(0, len(self._known) - FLOORED_MAX)]:
            del self._known[lane]
            self._idle.discard(lane)

    def _note_floors(self, look: Look) -> None:
        if look.is_full:
            if look.passed_in_vain <= PASSED_IN_VAIN_MAX:
                if self._full_again_at is not None:
                    self._known = dict.fromkeys(self._known)
                self._full_again_at = self._asleep_floor = None
                return
            if self._full_again_at is None:
                self._known = dict.fromkeys(self._known)
                self._slack = SLACK_FIRST
            self._full_pause = look.passed_in_vain * FULL_LOOK_PAUSE_PER_ENTRY
            self._full_again_at = look.now + self._full_pause
        else:
            self._adapt(look.passed_in_vain)
        if look.woken_count < WOKEN_PER_LOOK_MAX:
            self._asleep_floor = look.now - SLACK_FIRST
        self._raise(look)

    def _adapt(self, passed_in_vain: int) -> None:
        """Narrows at once and widens with care: where many are due at the same instant, any slack passes them all."""
        if passed_in_vain > PASSED_IN_VAIN_MAX:
            self._slack = self._slack / NARROWING if self._slack > SLACK_MIN else timedelta(0)
            self._cheap_looks_count = 0
        elif passed_in_vain < PASSED_IN_VAIN_MAX // 4:
            self._cheap_looks_count += 1
        if self._cheap_looks_count >= CHEAP_LOOKS_BEFORE_WIDENING:
            self._slack = min(max(self._slack * 2, SLACK_MIN), SLACK_MAX)
            self._cheap_looks_count = 0

    def _raise(self, look: Look) -> None:
        """Where no limit stopped the look, a lane that gave less than it might was seen to its end."""
        for place, seen in enumerate(look.lanes):
            if place < look.visited_count and seen.picked_count < seen.quota:
                self._known[seen.lane] = (look.now - self._slack, _NIL)
            elif seen.lane in look.last:
                due_at, run_id = look.last[seen.lane]
                self._known[seen.lane] = (due_at - self._slack, _NIL) if self._slack else (due_at, run_id)


def _stretches_from(lane: Lane) -> list[tuple[Lane, Lane]]:
    """All of higher priority, and what comes behind the lane."""
    return [(TOP, (lane[0], _BEFORE_ALL)), (lane, BOTTOM)]


def _columns(stretches: Sequence[tuple[Lane, Lane]]) -> tuple[list[int], list[TenantId], list[int], list[TenantId]]:
    return (
        [top[0] for top, _ in stretches],
        [top[1] for top, _ in stretches],
        [bottom[0] for _, bottom in stretches],
        [bottom[1] for _, bottom in stretches],
    )
