"""Flags: what is set for a tenant and for all, and the making sure that nothing decided before still acts."""

from collections.abc import Sequence
from typing import Protocol

from rota.domain.flag import FlagChange, FlagSetting
from rota.domain.ids import TenantId
from rota.domain.tenancy import AuditEntry


class FlagStore(Protocol):
    """A `tenant_id` of None is the platform."""

    async def settings(self, tenant_id: TenantId) -> Sequence[FlagSetting]:
        """What is set for the tenant and for all; a flag that nobody ever set is not among it."""
        ...

    async def change(self, tenant_id: TenantId | None, name: str, change: FlagChange, audit: AuditEntry) -> FlagSetting:
        """With FlagChanged. Raises NOT_FOUND, STATE_CONFLICT where the tenant is unknown or revoked."""
        ...

    async def refuse_planned(self, tenant_id: TenantId | None) -> int:
        """Gives every schedule that has a trigger due a new version, so that what the leader planned before this and
        has not written yet is refused. Their number. What it plans from now on knows the flags as they are.
        """
        ...
