"""When to look again, and from where on, while a snapshot somewhere else is held open.

What was claimed or fired leaves entries in the index that it was found by. The server removes them when no snapshot can
see them any more; until then, each look passes all of them before it finds anything. So a look that passed too many in
vain makes the next ones begin where it ended, or rest. Full looks find what came late; they are as rare as keeps their
cost a small part of the time, and when one was cheap, all looks are full again. Where claims look: see `lane_looks`.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

# What a look may pass in vain before the next ones begin behind it.
PASSED_IN_VAIN_MAX = 2_000
# Passing an entry costs about half a microsecond, so that full looks take an eightieth of the time.
FULL_LOOK_PAUSE_PER_ENTRY = timedelta(microseconds=40)
SLACK_FIRST = timedelta(seconds=1)


class DueLook:
    """How the renewals of a worker look for the next due run.

    Where that is dear, they do not look, and tell that work may be due: the worker then claims, which looks from its
    floors on and costs little.
    """

    def __init__(self) -> None:
        self.full_again_at: datetime | None = None

    def note(self, now: datetime, due_at: datetime | None, entries_count: int, *, is_full: bool) -> datetime | None:
        """Takes what a look has found and returns when the next run may be due, as far as it is known."""
        if not is_full:
            return now
        is_costly = entries_count > PASSED_IN_VAIN_MAX
        self.full_again_at = now + entries_count * FULL_LOOK_PAUSE_PER_ENTRY if is_costly else None
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
