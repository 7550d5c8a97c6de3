"""How many runs a worker holds ahead of its free slots, so that none stands empty during a claim. Pure.

Short runs end by the thousands within a round trip to the store; a worker that claimed no more than it has free slots
would spend its time asking. Long ones must not wait here while another worker is idle. So what is held ahead is what
will be begun within a moment at the pace of late, and slow handlers make it nothing by themselves.
"""

from msgspec import Struct

# The pace is that of the last window of this length, or of a longer one when nothing asked in between.
WINDOW_SECONDS = 0.02


class Pace(Struct):
    """The runs that ended since `since`, and how many ended in a second before that."""

    since: float = 0.0
    ended_count: int = 0
    per_second: float = 0.0


def runs_ahead(pace: Pace, now: float, *, seconds: float, runs_max: int) -> int:
    """How many runs will be begun within `seconds`, rounded down."""
    elapsed = now - pace.since
    if elapsed >= WINDOW_SECONDS:
        pace.per_second = pace.ended_count / elapsed
        pace.since, pace.ended_count = now, 0
    return min(runs_max, int(pace.per_second * seconds))
