"""Locks of one tenant, in the store whose clock decides about them (design laws 2 to 4)."""

from typing import Protocol

from rota.domain.ids import TenantId
from rota.domain.lock import Acquisition, Lock, LockClaim, LockHold
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry


class LockStore(Protocol):
    """Names carry preconditions; every method is confined to `tenant_id`. Nothing here waits for a lock to be free."""

    async def acquire_if_free(self, tenant_id: TenantId, name: str, claim: LockClaim, audit: AuditEntry) -> Acquisition:
        """Take the lock under a new token where it is free; else the lock as it stands. What was taken is audited;
        where the last holder had let its time end, LockLost is recorded, too.

        Raises QUOTA_EXCEEDED where the lock is new and all of the tenant's are held; NOT_FOUND or STATE_CONFLICT where
        there is no such tenant or it is revoked; Unavailable where the row was held by a stalled process.
        """
        ...

    async def renew_if_held(self, tenant_id: TenantId, name: str, hold: LockHold, ttl_seconds: float) -> Lock | None:
        """Held for `ttl_seconds` from now; None where the token no longer holds it (also when merely expired)."""
        ...

    async def release_if_held(self, tenant_id: TenantId, name: str, hold: LockHold, audit: AuditEntry) -> Lock | None:
        """Free from now on; None where the token no longer holds it."""
        ...

    async def break_if_held(self, tenant_id: TenantId, name: str, audit: AuditEntry) -> Lock | None:
        """Free from now on, whoever holds it, with LockBroken; None where nobody does or a database session does."""
        ...

    async def get(self, tenant_id: TenantId, name: str) -> Lock:
        """Raises NOT_FOUND where nobody ever held it, or it was free for so long that it was pruned."""
        ...

    async def page(self, tenant_id: TenantId, held: bool | None, page: PageRequest) -> Page[Lock]:  # noqa: FBT001 - a filter
        """By name; only held or only free ones where `held` says so."""
        ...
