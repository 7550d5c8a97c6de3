"""Bulk operations of one tenant: begun once, worked off in batches by whoever asks."""

from typing import Protocol

from rota.domain.bulk import BulkDraft, BulkId, BulkOperation
from rota.domain.ids import TenantId
from rota.domain.tenancy import AuditEntry


class BulkStore(Protocol):
    """A batch and the place that it leaves are stored together: no crash makes a run's turn come twice."""

    async def begin(self, draft: BulkDraft, audit: AuditEntry) -> BulkOperation:
        """With the id of one that was begun, that one, unchanged. `audit` is the operation's only entry."""
        ...

    async def get(self, tenant_id: TenantId, bulk_id: BulkId) -> BulkOperation:
        """Raises NOT_FOUND."""
        ...

    async def step(self, tenant_id: TenantId, bulk_id: BulkId, actor: str, limit: int) -> BulkOperation:
        """The next batch of up to `limit` runs. A finished operation is left as it is. Raises NOT_FOUND."""
        ...
