"""Check-ins of one tenant, the pings of whoever knows their address, and the deadlines that pass."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from rota.domain.check_in import CheckIn, CheckInChange
from rota.domain.ids import CheckInId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry

OnPing: TypeAlias = Callable[[CheckIn, datetime], CheckInChange]
"""Decides by the record and the store's time, read while the record is held."""

OnChange: TypeAlias = Callable[[CheckIn, datetime], CheckIn]
"""The same, of what an operator changes."""


class CheckInStore(Protocol):
    """All are confined to the tenant but `ping`, which finds it by the address's hash."""

    async def create(self, check_in: CheckIn, token_hash: bytes, audit: AuditEntry) -> CheckIn:
        """Raises NAME_TAKEN, QUOTA_EXCEEDED; NOT_FOUND or STATE_CONFLICT where the tenant is unknown or revoked."""
        ...

    async def get(self, tenant_id: TenantId, check_in_id: CheckInId) -> CheckIn:
        """Raises NOT_FOUND."""
        ...

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[CheckIn]:
        """By name."""
        ...

    async def delete(self, tenant_id: TenantId, check_in_id: CheckInId, audit: AuditEntry) -> CheckIn:
        """Its address is dead from now on. Raises NOT_FOUND."""
        ...

    async def change(
        self, tenant_id: TenantId, check_in_id: CheckInId, decide: OnChange, event_type: str, audit: AuditEntry
    ) -> CheckIn:
        """Nothing is told where nothing changes. Raises NOT_FOUND."""
        ...

    async def rotate(
        self, tenant_id: TenantId, check_in_id: CheckInId, token_hash: bytes, overlap_seconds: float, audit: AuditEntry
    ) -> CheckIn:
        """Another address; the last one is good for so long, the one before it is dead. Raises NOT_FOUND."""
        ...

    async def ping(self, token_hash: bytes, decide: OnPing) -> bool:
        """False where no check-in of an open tenant has the address."""
        ...


class CheckInDeadlines(Protocol):
    """Only for the leader: it looks across tenants."""

    async def next_deadline_in_seconds(self) -> float | None:
        """By the store's clock; negative where it has passed, None where none is waited for."""
        ...

    async def mark_missed(self, limit: int) -> int:
        """Marks those whose deadline has passed, each with its event; one that is being pinged is left for later."""
        ...
