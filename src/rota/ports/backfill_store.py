"""Backfills of one tenant, and the steps by which the leader makes their runs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from rota.domain.backfill import Backfill, BackfillStep, DueBackfill
from rota.domain.ids import BackfillId, TenantId
from rota.domain.lease import Fence
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry


class BackfillStore(Protocol):
    """Every method is confined to `tenant_id`, in the query and by row-level security."""

    async def create(self, backfill: Backfill, audit: AuditEntry) -> Backfill:
        """With BackfillStarted; the oldest ended ones above a bound are forgotten. The same id again: the one that is
        there. Raises QUOTA_EXCEEDED where so many are running, NOT_FOUND, STATE_CONFLICT where the tenant is revoked.
        """
        ...

    async def get(self, tenant_id: TenantId, backfill_id: BackfillId) -> Backfill:
        """Raises NOT_FOUND."""
        ...

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[Backfill]:
        """The newest first."""
        ...

    async def cancel_if_running(self, tenant_id: TenantId, backfill_id: BackfillId, audit: AuditEntry) -> Backfill:
        """With BackfillCancelled; runs that it has made stay. Raises NOT_FOUND, STATE_CONFLICT where it has ended."""
        ...

    async def known_keys(self, tenant_id: TenantId, keys: Sequence[str]) -> Mapping[str, bool]:
        """Those of `keys` that are taken: True by the record of a skipped firing, False by a run."""
        ...


class BackfillSteps(Protocol):
    """Only for the leader: it looks across tenants."""

    async def next_in_seconds(self) -> float | None:
        """When a backfill has more to do, by the store's clock; negative where that has passed, None where none has."""
        ...

    async def list_due(self, limit: int) -> tuple[DueBackfill, ...]:
        """Those that have waited longest first."""
        ...

    async def known_keys(self, tenant_id: TenantId, keys: Sequence[str]) -> Mapping[str, bool]:
        """As `BackfillStore.known_keys`."""
        ...

    async def apply_step(self, fence: Fence, step: BackfillStep) -> bool:
        """Runs, progress and at its end the event, in one transaction; a key that was taken meanwhile makes no run and
        counts as skipped. False where backfill or schedule had changed: nothing was written. Raises `Stale`.
        """
        ...
