"""How many streams may be open at once, and their end when the process stops (they would hold it up for ever)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rota.domain.errors import DomainError
from rota.telemetry.metrics import Metrics


class StreamGate:
    """One per process. `close` ends every stream at its next turn; composition calls it before the server stops."""

    def __init__(self, streams_max: int, metrics: Metrics) -> None:
        self._streams_max = streams_max
        self._metrics = metrics
        self._open = 0
        self._closing = asyncio.Event()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        self._closing.set()

    def refuse_if_full(self) -> None:
        """Raises RATE_LIMITED, before the answer has begun."""
        if self._open >= self._streams_max:
            raise DomainError("RATE_LIMITED", f"{self._streams_max} streams are open, which is the limit of a process")

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """A place for as long as one stream lasts."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        self._open += step
        self._metrics.set("rota_http_streams_open", self._open)
