"""Attempts' lines on their way to the store: numbered, stamped and written in batches, at the latest after 250 ms.

Lines are never a reason to stop: while the store is away they wait in a bounded buffer, and what does not fit is
counted and said in the worker's own log. A line's instant is that of its arrival here.
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from itertools import count

import structlog

from rota.domain.errors import Unavailable
from rota.domain.ids import TenantId
from rota.domain.run import ClaimedRun, LogLine
from rota.ports.clock import Clock
from rota.ports.run_store import RunClaims
from rota.worker.answering import answered_in_time

FLUSH_SECONDS = 0.15
BATCH_LINES_MAX = 500
BUFFER_LINES_MAX = 20_000
RETRY_SECONDS = 0.5

_log = structlog.get_logger("rota.worker.lines")


class LogShipper:
    """`run` writes for as long as the worker lives; `flush` writes what there is now."""

    def __init__(self, claims: RunClaims, clock: Clock) -> None:
        self._claims = claims
        self._clock = clock
        self._open: dict[int, ClaimedRun] = {}
        self._numbers: dict[int, count[int]] = {}
        self._buffer: list[tuple[LogLine, TenantId]] = []
        self._dropped_count = 0
        self._has_lines = asyncio.Event()
        self._is_full = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def is_empty(self) -> bool:
        return not self._buffer

    def open(self, key: int, claimed: ClaimedRun) -> None:
        self._open[key] = claimed

    def close(self, key: int) -> None:
        """What a handler says after its attempt has been settled belongs to nobody."""
        self._open.pop(key, None)
        if self._numbers:
            self._numbers.pop(key, None)

    def close_all(self) -> None:
        self._open.clear()
        self._numbers.clear()

    def add(self, lines: tuple[tuple[int, str, str], ...]) -> None:
        at = datetime.fromtimestamp(self._clock.wall_ns() / 1e9, UTC)
        for key, stream, text in lines:
            if key not in self._open:
                continue
            if len(self._buffer) >= BUFFER_LINES_MAX:
                self._dropped_count += 1
                continue
            claimed, numbers = self._open[key], self._numbers.setdefault(key, count(1))
            line = LogLine(claimed.run_id, claimed.attempt_no, next(numbers), at, stream, text)
            self._buffer.append((line, claimed.tenant_id))
        if self._buffer:
            self._has_lines.set()
        if len(self._buffer) >= BATCH_LINES_MAX:
            self._is_full.set()

    async def run(self) -> None:
        while True:
            await self._has_lines.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_full.wait(), FLUSH_SECONDS)
            try:
                await self.flush()
            except Unavailable as away:
                _log.warning("lines_wait", detail=away.detail, waiting_count=len(self._buffer))
                await self._clock.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Raises `Unavailable`; the lines are kept then."""
        async with self._writing:
            while self._buffer:
                batch = self._buffer[:BATCH_LINES_MAX]
                async with answered_in_time():
                    await self._claims.append_log_lines([line for line, _ in batch], [tenant for _, tenant in batch])
                del self._buffer[: len(batch)]
            self._has_lines.clear()
            self._is_full.clear()
        if self._dropped_count:
            _log.warning("lines_dropped", dropped_count=self._dropped_count, buffer_lines_max=BUFFER_LINES_MAX)
            self._dropped_count = 0
