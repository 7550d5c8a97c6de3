"""Keeps the duties of a process running: starts them in order, restarts what falls, stops them in reverse.

A duty that raises is started again after a pause that grows with each failure in a row, to a bound; what failed and how
often is kept for health checks. This is the one place of the services that catches everything. A `Bug` is not survived:
all duties are stopped and `wait` raises it, since a process that has broken its own rules must not go on writing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec import Struct

from rota.domain.errors import Bug, Stale, Unavailable
from rota.ports.clock import Clock
from rota.ports.rng import Rng

_log = structlog.get_logger("rota.supervision")

BACKOFF_SECONDS = 0.1
BACKOFF_SECONDS_MAX = 2.0
# A duty that ran this long before it failed is not failing "in a row".
STEADY_SECONDS = 30.0


class Duty(Struct, frozen=True):
    """Work without end. `run` returns only when there is nothing more to do; it is cancelled to stop."""

    name: str
    run: Callable[[], Awaitable[None]]


class DutyStatus(Struct):
    """How a duty fares. `last_error` stays after it has recovered."""

    name: str
    running: bool = False
    restarts_count: int = 0
    last_error: str = ""


class Supervisor:
    """Runs duties until `stop`, or until one of them meets a defect."""

    def __init__(self, duties: Sequence[Duty], clock: Clock, rng: Rng) -> None:
        self._duties = tuple(duties)
        self._clock = clock
        self._rng = rng
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: asyncio.Future[None] | None = None
        self.statuses = tuple(DutyStatus(duty.name) for duty in self._duties)

    def start(self) -> None:
        """In the order given. The running loop is theirs."""
        self._broken = asyncio.get_running_loop().create_future()
        for duty, status in zip(self._duties, self.statuses, strict=True):
            self._tasks.append(asyncio.create_task(self._keep(duty, status), name=duty.name))

    async def wait(self) -> None:
        """Until every duty has ended of itself. Raises the `Bug` that a duty met, after stopping the others."""
        assert self._broken is not None, "wait comes after start"
        ended = asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await asyncio.wait([ended, self._broken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._broken.done():
                await self.stop()
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
        if self._broken.done():
            self._broken.result()

    async def stop(self) -> None:
        """Cancels the duties, the last one first, and waits for each; may be called twice."""
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self, duty: Duty, status: DutyStatus) -> None:
        failures_in_row = 0
        while True:
            status.running, began = True, self._clock.monotonic_seconds()
            try:
                await duty.run()
                return
            except Bug as bug:
                status.last_error = _described(bug)
                self._report(bug)
                return
            except Exception as error:
                status.last_error = _described(error)
                _tell(duty.name, error)
            finally:
                status.running = False
            steady = self._clock.monotonic_seconds() - began >= STEADY_SECONDS
            failures_in_row = 1 if steady else failures_in_row + 1
            status.restarts_count += 1
            await self._clock.sleep(self._pause_seconds(failures_in_row))

    def _report(self, bug: Bug) -> None:
        _log.error("duty met a defect", exc_info=bug)
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(bug)

    def _pause_seconds(self, failures_in_row: int) -> float:
        longest = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS * 2 ** min(failures_in_row - 1, 16))
        return longest * (0.5 + self._rng.uniform() / 2)


def _tell(name: str, error: Exception) -> None:
    """What is expected is told in a line; anything else with its traceback."""
    if isinstance(error, Unavailable | Stale):
        _log.warning("duty interrupted", duty=name, error=_described(error))
    else:
        _log.error("duty failed", duty=name, exc_info=error)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
