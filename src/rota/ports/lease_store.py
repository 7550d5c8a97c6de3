"""Leases in the store that their holders write to (design laws 2–4)."""

from typing import Protocol

from rota.domain.ids import Epoch
from rota.domain.lease import Lease


class LeaseStore(Protocol):
    """Names carry preconditions; the store's clock, read after the row lock is held, decides expiry."""

    async def acquire_if_free(self, name: str, holder: str, lease_seconds: float) -> Lease:
        """Take the lease with the next epoch where it is free or has expired; else give back the lease as it stands.

        The caller holds it exactly when `holder` in the answer is its own. A lease that would end later than
        `lease_seconds` from now, because the store's clock was set back, is cut to that. Never waits longer than the
        statement bound.
        """
        ...

    async def renew_if_held(self, name: str, epoch: Epoch, holder: str, lease_seconds: float) -> Lease | None:
        """Prolong an unexpired lease of this very epoch; None where it is lost (also when merely expired)."""
        ...

    async def release_if_held(self, name: str, epoch: Epoch, holder: str) -> bool:
        """End the lease now, so that a standby takes over at once; the epoch is kept."""
        ...

    async def read(self, name: str) -> Lease | None: ...
