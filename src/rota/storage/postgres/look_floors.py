"""Where looks at one queue begin, while a snapshot somewhere else is held open.

What was claimed leaves entries in the index that workers claim by. The server removes them when no snapshot can see
them any more; until then, each look passes all of them before it finds a run. A transaction that stays open for half an
hour would stop the queue.

So a look that passed too many in vain makes the next ones begin where it ended, less a slack that is as wide as it can
be without passing too many again. Behind that floor a run may appear all the same: it came late, or was given back.
Full looks find it; they are as rare as keeps their cost a small part of the time, and when one was cheap, all looks are
full again. This module decides only where looks begin: it never hides a run for good.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

PRIORITIES_COUNT = 10
# What a look may pass in vain before the next ones begin behind it.
PASSED_IN_VAIN_MAX = 2_000
# Passing an entry costs a fortieth of it, so that full looks take a fortieth of the time.
FULL_LOOK_PAUSE_PER_ENTRY = timedelta(microseconds=10)
SLACK_FIRST = timedelta(seconds=1)
SLACK_MAX = timedelta(minutes=1)
SLACK_MIN = timedelta(milliseconds=1)
NARROWING = 8
CHEAP_LOOKS_BEFORE_WIDENING = 16
_NIL = "00000000-0000-0000-0000-000000000000"


class Look(NamedTuple):
    """What one look saw. `last` is the place of the last run that it took, if it stopped there for its limit."""

    now: datetime
    is_full: bool
    passed_in_vain: int
    last: tuple[int, datetime, str] | None


class LookFloors:
    """The floors of one queue's lanes, by priority. A lane without one is looked at from its start."""

    def __init__(self) -> None:
        self._floors: list[tuple[datetime, str] | None] = [None] * PRIORITIES_COUNT
        self._slack = SLACK_FIRST
        self._cheap_looks_count = 0
        self._full_again_at: datetime | None = None

    @property
    def full_again_at(self) -> datetime | None:
        """By the store's clock. None: each look is full."""
        return self._full_again_at

    @property
    def due_at(self) -> Sequence[datetime | None]:
        return [None if floor is None else floor[0] for floor in self._floors]

    @property
    def run_ids(self) -> Sequence[str | None]:
        return [None if floor is None else floor[1] for floor in self._floors]

    def note(self, look: Look) -> None:
        if look.is_full:
            if look.passed_in_vain <= PASSED_IN_VAIN_MAX:
                self._full_again_at = None
                return
            if self._full_again_at is None:
                self._floors = [None for _ in self._floors]
                self._slack = SLACK_FIRST
            self._full_again_at = look.now + look.passed_in_vain * FULL_LOOK_PAUSE_PER_ENTRY
        else:
            self._adapt(look.passed_in_vain)
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
        """Lanes above the last one, or all where no limit stopped the look, were seen to their end."""
        last_priority = -1 if look.last is None else look.last[0]
        for priority in range(last_priority + 1, PRIORITIES_COUNT):
            self._floors[priority] = (look.now - self._slack, _NIL)
        if look.last is not None:
            _, due_at, run_id = look.last
            self._floors[last_priority] = (due_at - self._slack, _NIL) if self._slack else (due_at, run_id)


class DueLook:
    """What the renewals of a worker look through for the next due run, and what the last full one of them has found.

    What that one found may have been claimed since: then the worker looks once in vain at each renewal until the next
    full one.
    """

    def __init__(self) -> None:
        self.full_again_at: datetime | None = None
        self.floor: datetime | None = None
        self._known_due_at: datetime | None = None

    def note(self, now: datetime, due_at: datetime | None, entries_count: int, *, is_full: bool) -> datetime | None:
        """Takes what a look has found and returns when the next run is due, as far as it is known."""
        if not is_full:
            return min((found for found in (due_at, self._known_due_at) if found is not None), default=None)
        is_costly = entries_count > PASSED_IN_VAIN_MAX
        self.full_again_at = now + entries_count * FULL_LOOK_PAUSE_PER_ENTRY if is_costly else None
        self.floor, self._known_due_at = now - SLACK_FIRST, due_at
        return due_at


class FireLook:
    """Where the leader's looks for due triggers begin: each fire leaves an entry, too.

    The leader itself only moves triggers onwards, so before the first one of a look there is none but by a change of
    schedules. What such a change puts there is found by full looks, which are made apart: one may take longer than a
    leader's statement may. While full looks are cheap, all looks are full.
    """

    def __init__(self) -> None:
        self.is_lean = False
        self.floor: datetime | None = None

    def failed(self) -> None:
        """It may have been too much for the statement's time: no further one may, until a full one was cheap."""
        self.is_lean = True

    def note(self, began_at: datetime | None, seen: "FiresSeen", *, is_full: bool) -> None:
        """Takes what a look has found that began at the floor `began_at`, unless a full one was made meanwhile."""
        if is_full and seen.entries_count <= PASSED_IN_VAIN_MAX:
            self.is_lean, self.floor = False, None
        elif is_full or (self.is_lean and self.floor == began_at):
            self.is_lean, self.floor = True, seen.first_of(seen.now - SLACK_FIRST)

    def note_apart(self, seen: "FiresSeen") -> None:
        """Takes what a full look has found that was made beside others: it lowers the floor alone."""
        if seen.entries_count <= PASSED_IN_VAIN_MAX:
            self.is_lean, self.floor = False, None
        elif self.is_lean and self.floor is not None:
            self.floor = seen.first_of(self.floor)
        elif self.is_lean:
            self.floor = seen.first_of(seen.now - SLACK_FIRST)


class FiresSeen(NamedTuple):
    """What one look for due triggers saw: the first fire, and how many entries it passed."""

    now: datetime
    next_fire_at: datetime | None
    entries_count: int

    def first_of(self, other: datetime) -> datetime:
        return other if self.next_fire_at is None else min(self.next_fire_at, other)
