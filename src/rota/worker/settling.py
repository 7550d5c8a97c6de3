"""Settlements on their way to the store: one statement in flight, and whatever arrives meanwhile is the next batch.

A settlement is tried until the store has answered. Trying again is safe: each carries its attempt's token, so one that
was stored already, or that somebody else overtook, is refused and harms nothing. An attempt's lines are stored before
its end, so that whoever sees the end can read all of them. What could start only now is announced.

One end that the store cannot keep takes no other along: its run fails, and says why. Where the store keeps not even
that, the fault is not the end's, and the worker stops.
"""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog
from msgspec import json

from rota.domain.errors import Unavailable
from rota.domain.ids import AttemptToken, RunId
from rota.domain.run import RunError, Settlement
from rota.ports.clock import Clock
from rota.ports.run_store import RunClaims, SettleResult
from rota.ports.wakeups import Wakeups
from rota.worker.answering import answered_in_time
from rota.worker.log_shipping import LogShipper
from rota.worker.verdicts import MESSAGE_CHARS_MAX, storable

BATCH_MAX = 500
RETRY_SECONDS_MAX = 2.0

_log = structlog.get_logger("rota.worker.settling")


class Settler:
    """`run` writes for as long as the worker lives."""

    def __init__(self, claims: RunClaims, lines: LogShipper, wakeups: Wakeups, clock: Clock) -> None:
        self._claims = claims
        self._lines = lines
        self._wakeups = wakeups
        self._clock = clock
        self._waiting: list[Settlement] = []
        self._has_some = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._failures_count = 0

    def add(self, settlement: Settlement) -> None:
        self._waiting.append(settlement)
        self._is_idle.clear()
        self._has_some.set()

    def unconfirmed(self) -> set[tuple[RunId, AttemptToken]]:
        """The attempts whose end the store has not confirmed. They must not be taken for anything else."""
        return {(settlement.run_id, settlement.token) for settlement in self._waiting}

    async def wait_idle(self) -> None:
        """Until everything that was added has been answered."""
        await self._is_idle.wait()

    async def run(self) -> None:
        while True:
            await self._has_some.wait()
            try:
                await self._settle_some()
                self._failures_count = 0
            except Unavailable as away:
                self._failures_count += 1
                _log.warning("settlements_wait", detail=away.detail, waiting_count=len(self._waiting))
                await self._clock.sleep(min(0.1 * 2 ** min(self._failures_count, 10), RETRY_SECONDS_MAX))

    async def _settle_some(self) -> None:
        if not self._lines.is_empty:
            with contextlib.suppress(Unavailable):
                await self._lines.flush()
        batch = self._waiting[:BATCH_MAX]
        try:
            results = await self._settle(batch)
        except Unavailable:
            raise
        except Exception as refused:
            _log.error("settlements_unstorable", settlements_count=len(batch), reason=str(refused))
            results = await self._settle_one_by_one(batch)
        for queue in {queue for result in results for queue in result.startable_queues}:
            self._wakeups.announce(f"queue:{queue}")
        for result in results:
            if not result.accepted:
                _log.warning("settlement_refused", run_id=result.run_id, reason="its attempt is no longer current")
        del self._waiting[: len(batch)]
        if not self._waiting:
            self._has_some.clear()
            self._is_idle.set()

    async def _settle(self, batch: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        async with answered_in_time():
            return await self._claims.settle_batch(batch)

    async def _settle_one_by_one(self, batch: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        results: list[SettleResult] = []
        for settlement in batch:
            try:
                results += await self._settle([settlement])
            except Unavailable:
                raise
            except Exception as refused:
                results += await self._settle([_unstorable(settlement, refused)])
        return tuple(results)


def _unstorable(settlement: Settlement, refused: Exception) -> Settlement:
    message = storable(f"the store cannot keep how this attempt ended: {refused}", MESSAGE_CHARS_MAX)
    error = RunError(message, type="EndNotStorable", failure_class="config", retryable=False)
    return Settlement(
        settlement.run_id,
        settlement.token,
        "fail",
        "failed",
        "its end could not be stored",
        error_json=json.encode(error).decode(),
        dead_letter=True,
    )
