"""Whether a firing may become a run while runs of its schedule are live (design §5 Overlap).

    skip            no run while one is queued or running
    queue_one       one run may wait
    queue_all       all may wait, up to `LIVE_MAX`
    allow           all run at once; `LIVE_MAX` bounds what piles up in the queue
    cancel_running  the newest firing wins: runs that are live are cancelled, firings that are older are superseded

It admits and refuses; that waiting runs of queue_one and queue_all start one after another is the claim's duty.
"""

from msgspec import Struct

from rota.domain.policies import Overlap

# Stores count the live runs of a schedule no further than this.
LIVE_MAX = 1_000


class LiveRuns(Struct, frozen=True):
    """What is live of one schedule, those admitted in this plan included."""

    queued: int
    running: int

    @property
    def count(self) -> int:
        return self.queued + self.running

    def __str__(self) -> str:
        return f"{self.count} live ({self.queued} queued, {self.running} running)"

    def with_one_queued(self) -> "LiveRuns":
        return LiveRuns(self.queued + 1, self.running)


def refusal(overlap: Overlap, live: LiveRuns) -> str | None:
    """Why one more run is not admitted; None where it is."""
    match overlap:
        case "skip":
            return f"skipped: {live} (overlap skip)" if live.count else None
        case "queue_one":
            return f"skipped: one waits already, {live} (overlap queue_one)" if live.queued else None
        case "queue_all" | "allow":
            # Many that run are welcome; that some of so many wait means that workers cannot keep up.
            full = live.count >= LIVE_MAX and live.queued > 0
            return f"skipped: {live}, and no more than {LIVE_MAX} may pile up (overlap {overlap})" if full else None
        case "cancel_running":
            return None
