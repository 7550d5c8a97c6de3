"""How long the holder of a lock may believe that it holds it, by its own monotonic clock, and what it does then.

The store counted from a moment after the request was sent, so that *sent + ttl* is never later than the store's end.
The margin is for clocks that run at different rates; the grace lets what runs under the lock end by itself.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

MARGIN_SHARE = 0.1
MARGIN_SECONDS_MAX = 1.0
GRACE_SHARE = 0.25
GRACE_SECONDS_MAX = 5.0
RENEWALS_PER_TTL = 3

HolderStep: TypeAlias = Literal["go_on", "stop", "kill"]


class LockTrust(Struct, frozen=True):
    """`sent_at`: when the latest granted request was sent."""

    sent_at: float
    ttl_seconds: float

    @property
    def renew_at(self) -> float:
        return self.sent_at + self.ttl_seconds / RENEWALS_PER_TTL

    @property
    def ends_at(self) -> float:
        """Nothing may run under the lock from here on."""
        return self.sent_at + self.ttl_seconds - min(MARGIN_SECONDS_MAX, MARGIN_SHARE * self.ttl_seconds)

    @property
    def stop_at(self) -> float:
        """Time to ask it to end."""
        return self.ends_at - min(GRACE_SECONDS_MAX, GRACE_SHARE * self.ttl_seconds)


def holder_step(trust: LockTrust, now: float, *, refused: bool) -> HolderStep:
    """`refused`: the store has said that the lock is lost, so that somebody else may hold it already."""
    if refused or now >= trust.ends_at:
        return "kill"
    return "stop" if now >= trust.stop_at else "go_on"
