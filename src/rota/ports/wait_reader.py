"""Why a run waits: what a reader may know of limits, turns and workers, which are not its tenant's."""

from typing import Protocol

from rota.domain.ids import RunId, TenantId
from rota.domain.waiting import WaitFacts


class WaitReader(Protocol):
    """Never writes (law 10), and what it reads is bounded whatever is waiting."""

    async def facts(
        self, tenant_id: TenantId, run_id: RunId, task: str | None, key: str | None = None
    ) -> WaitFacts | None:
        """None unless the run is the tenant's and queued now. `task` and concurrency `key` are the run's."""
        ...
