"""Locks of tenants: a name that one holder at a time has, and the token that proves it to whatever the lock protects.

A lock's token is its epoch: it rises with every acquisition for ever, whatever was released, lost, pruned or restored.
Holding is a matter of time (or of a database session); only the comparison of tokens at the resource is safe against a
holder that was paused past its time (design law 2).
"""

from datetime import datetime
from typing import NewType

from msgspec import Struct

from rota.domain.ids import TenantId

LockToken = NewType("LockToken", int)

LOCK_TTL_SECONDS_MIN = 1.0
LOCK_TTL_SECONDS_MAX = 3_600.0
LOCK_WAIT_SECONDS_MAX = 30.0

LOCKS_PER_TENANT_MAX = 10_000
"""Names, held or free, that a tenant's locks are kept under. Free ones make room for new ones."""

LOCK_FREE_DAYS_KEPT = 7
"""How long a lock that nobody holds is remembered at least, where the tenant has room."""


class Lock(Struct, frozen=True):
    """The stored row as of `as_of`, by the store's clock. `holder` and `token` are the last holder's where it is free.

    `expires_at` is None while a database session holds it: then it ends with the session. `released_at` is None while
    it is held, and where it was lost: its time ended unreleased.
    """

    tenant_id: TenantId
    name: str
    token: LockToken
    holder: str
    held: bool
    acquired_at: datetime
    expires_at: datetime | None
    released_at: datetime | None
    as_of: datetime

    @property
    def remaining_seconds(self) -> float | None:
        """How long it is held unless renewed; None where only the end of a session frees it."""
        if not self.held:
            return 0.0
        return None if self.expires_at is None else (self.expires_at - self.as_of).total_seconds()


class LockClaim(Struct, frozen=True):
    """Who wants a lock and for how long. To repeat an acquisition under its `request_key` gives the same token."""

    holder: str
    ttl_seconds: float
    request_key: str = ""


class LockHold(Struct, frozen=True):
    """What a renewal or release is proved by. The holder is compared where it is given: after a fail-over that lost
    the latest commits, a token may have been given out a second time.
    """

    token: LockToken
    holder: str | None = None


class Acquisition(Struct, frozen=True):
    """How a claim was decided: the lock as it stands then.

    `by_session`: the row is free, but a database session has the lock's advisory lock.
    """

    lock: Lock
    acquired: bool
    by_session: bool = False
