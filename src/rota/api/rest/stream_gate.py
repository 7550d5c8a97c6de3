"""How many streams may be open at once, and their end when the process stops (they would hold it up for ever).

No tenant may take all places: each has its own bound below the process's.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.telemetry.metrics import Metrics


class StreamGate:
    """One per process. `close` ends every stream at its next turn; composition calls it before the server stops."""

    def __init__(self, streams_max: int, streams_per_tenant_max: int, metrics: Metrics) -> None:
        self._streams_max = streams_max
        self._streams_per_tenant_max = streams_per_tenant_max
        self._metrics = metrics
        self._open: Counter[TenantId] = Counter()
        self._closing = asyncio.Event()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        self._closing.set()

    def refuse_if_full(self, tenant_id: TenantId) -> None:
        """Raises RATE_LIMITED, before the answer has begun."""
        if self._open[tenant_id] >= self._streams_per_tenant_max:
            bound = f"{self._streams_per_tenant_max} streams of this tenant are open, which is its limit"
            raise DomainError("RATE_LIMITED", bound)
        if self._open.total() >= self._streams_max:
            raise DomainError("RATE_LIMITED", f"{self._streams_max} streams are open, which is the limit of a process")

    @asynccontextmanager
    async def held(self, tenant_id: TenantId) -> AsyncGenerator[None]:
        """A place for as long as one stream lasts. Raises RATE_LIMITED: others may have come since the answer began."""
        self.refuse_if_full(tenant_id)
        self._count(tenant_id, 1)
        try:
            yield
        finally:
            self._count(tenant_id, -1)

    def _count(self, tenant_id: TenantId, step: int) -> None:
        self._open[tenant_id] += step
        if not self._open[tenant_id]:
            del self._open[tenant_id]
        self._metrics.set("rota_http_streams_open", self._open.total())
