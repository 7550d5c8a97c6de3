"""Flags: what is set for a tenant and for all, and the making sure that nothing decided before still acts."""

from collections.abc import Sequence
from typing import Protocol

from rota.domain.flag import FlagChange, FlagSetting, PlatformSetting
from rota.domain.ids import TenantId
from rota.domain.tenancy import AuditEntry


class FlagStore(Protocol):
    """A `tenant_id` of None is the platform."""

    async def settings(self, tenant_id: TenantId) -> Sequence[FlagSetting]:
        """What is set for the tenant and for all; a flag that nobody ever set is not among it."""
        ...

    async def change(self, tenant_id: TenantId | None, name: str, change: FlagChange, audit: AuditEntry) -> FlagSetting:
        """With FlagChanged. Whoever acted by the flag as it was has done so. Where milestones are switched on, those
        that were held get their time again. Raises NOT_FOUND, STATE_CONFLICT where the tenant is unknown or revoked.
        """
        ...

    async def platform(self) -> Sequence[PlatformSetting]:
        """What is set for all, and by tenants; a flag that is set nowhere is not among it."""
        ...

    async def refuse_planned(self, tenant_id: TenantId | None) -> int:
        """Gives every schedule that has a trigger due a new version, so that what the leader planned before this and
        has not written yet is refused. Their number. What it plans from now on knows the flags as they are.
        """
        ...
