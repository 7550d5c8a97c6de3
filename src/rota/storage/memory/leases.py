"""Leases in memory: the oracle of `rota.storage.postgres.leases`."""

from dataclasses import replace
from datetime import timedelta

from rota.domain.errors import Stale
from rota.domain.ids import Epoch
from rota.domain.lease import Fence, Lease
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.run_tables import StoredLease


def require_current(database: MemoryDatabase, fence: Fence) -> None:
    """Raises Stale where the fence's term has ended."""
    lease = database.runs_state.leases.get(fence.lease_name)
    if (
        lease is None
        or (lease.epoch, lease.holder) != (fence.epoch, fence.holder)
        or lease.expires_at <= database.now()
    ):
        raise Stale(f"epoch {fence.epoch} of lease {fence.lease_name!r} has ended: nothing was decided")


class MemoryLeaseStore:
    """See `rota.ports.lease_store.LeaseStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._leases = database.runs_state.leases

    async def acquire_if_free(self, name: str, holder: str, lease_seconds: float) -> Lease:
        now, stored = self._database.now(), self._leases.get(name)
        ends_at = now + timedelta(seconds=lease_seconds)
        if stored is None or stored.expires_at <= now:
            epoch = 1 if stored is None else stored.epoch + 1
            self._leases[name] = StoredLease(epoch, holder, now, ends_at)
        elif stored.expires_at > ends_at:
            self._leases[name] = replace(stored, expires_at=ends_at)
        return self._lease(name)

    async def renew_if_held(self, name: str, epoch: Epoch, holder: str, lease_seconds: float) -> Lease | None:
        stored = self._held(name, epoch, holder)
        if stored is None:
            return None
        self._leases[name] = replace(stored, expires_at=self._database.now() + timedelta(seconds=lease_seconds))
        return self._lease(name)

    async def release_if_held(self, name: str, epoch: Epoch, holder: str) -> bool:
        stored = self._held(name, epoch, holder)
        if stored is None:
            return False
        self._leases[name] = replace(stored, expires_at=self._database.now())
        return True

    async def read(self, name: str) -> Lease | None:
        return self._lease(name) if name in self._leases else None

    def _held(self, name: str, epoch: Epoch, holder: str) -> StoredLease | None:
        stored = self._leases.get(name)
        if stored is None or (stored.epoch, stored.holder) != (epoch, holder):
            return None
        return stored if stored.expires_at > self._database.now() else None

    def _lease(self, name: str) -> Lease:
        stored = self._leases[name]
        remaining = (stored.expires_at - self._database.now()).total_seconds()
        return Lease(name, Epoch(stored.epoch), stored.holder, stored.acquired_at, stored.expires_at, remaining)
