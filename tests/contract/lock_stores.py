"""What a contract test of locks is given: the store of one backend, with as few locks per tenant as it likes."""

from collections.abc import Callable
from dataclasses import dataclass

from rota.domain.ids import TenantId
from rota.domain.lock import Acquisition, Lock, LockClaim, LockHold, LockToken
from rota.domain.page import PageRequest
from rota.domain.tenancy import AuditEntry
from rota.ports.lock_store import LockStore
from rota.ports.tenant_store import EventFilter
from tests.contract.records import ACME
from tests.contract.stores import Stores

ACQUIRE = AuditEntry("ada", "acquire", "lock", "nightly", "req-1")
RELEASE = AuditEntry("ada", "release", "lock", "nightly", "req-2")
BREAK = AuditEntry("ada", "break", "lock", "nightly", "req-3")


def hold(token: int, holder: str | None = None) -> LockHold:
    return LockHold(LockToken(token), holder)


@dataclass(frozen=True)
class LockStores:
    """`store` with the real quota; `with_room_for` makes another one over the same tables."""

    base: Stores
    store: LockStore
    with_room_for: Callable[[int], LockStore]

    async def attempt(
        self, holder: str = "a", name: str = "nightly", ttl_seconds: float = 30.0, key: str = ""
    ) -> Acquisition:
        return await self.store.acquire_if_free(ACME, name, LockClaim(holder, ttl_seconds, key), ACQUIRE)

    async def acquire(self, holder: str = "a", name: str = "nightly", ttl_seconds: float = 30.0) -> Lock:
        """The lock, which must have been free."""
        taken = await self.attempt(holder, name, ttl_seconds)
        assert taken.acquired, taken
        return taken.lock

    async def events(self, tenant_id: TenantId = ACME) -> list[tuple[str, str, dict[str, object]]]:
        events = await self.base.events.after(EventFilter(tenant_id), None, 100)
        return [(one.type, one.subject, one.data) for one in events if one.type.startswith("Lock")]

    async def names(self) -> list[str]:
        return [lock.name for lock in (await self.store.page(ACME, None, PageRequest(500))).items]
