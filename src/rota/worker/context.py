"""What a handler may know about its attempt, and the signs by which it is asked to stop.

A handler gets its `Context` by annotating a parameter with the type. Handlers in threads cannot be interrupted: they
look at `cancelled` (or call `check_cancelled`) from time to time. Async handlers are cancelled by the loop as well.
"""

import asyncio
import logging
import threading
from datetime import datetime
from typing import Protocol

from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.worker.outcomes import Cancel
from rota.worker.protocol import AttemptOrder


class AttemptLink(Protocol):
    """Where an attempt's output goes, and who is told of the process groups that it starts."""

    def line(self, stream: str, text: str) -> None: ...

    def group_started(self, group_id: int) -> None: ...

    def group_ended(self, group_id: int) -> None: ...


class ContextTime(Protocol):
    """Durations as a handler sees them; a test sets them."""

    def monotonic_seconds(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class LoopTime:
    """The running loop's own time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def monotonic_seconds(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Makes no task: a handler may have changed how the loop makes them."""
        over: asyncio.Future[None] = self._loop.create_future()
        alarm = self._loop.call_later(seconds, _end, over)
        try:
            await over
        finally:
            alarm.cancel()


def _end(wait: "asyncio.Future[None]") -> None:
    if not wait.done():
        wait.set_result(None)


class Context:
    """One attempt as its handler sees it. `fire_at` is the nominal time of the firing, where a schedule made the run.

    `run_id` stays the same over all attempts: it is the idempotency key to show to other systems.
    """

    # What most handlers never look at is made when it is asked for. Two threads may ask at once: `setdefault` decides.
    _log: logging.Logger | None = None
    _cancelled: threading.Event | None = None
    _soft_timed_out: threading.Event | None = None

    def __init__(self, order: AttemptOrder, link: AttemptLink, time: ContextTime) -> None:
        self.tenant_id: TenantId = order.tenant_id
        self.run_id: RunId = order.run_id
        self.attempt_no: int = order.attempt_no
        self.schedule_id: ScheduleId | None = order.schedule_id
        self.fire_at: datetime | None = order.fire_at
        self.link = link
        self._time = time
        self._deadline = time.monotonic_seconds() + order.timeout_seconds

    @property
    def log(self) -> logging.Logger:
        """Its lines become log lines of the attempt."""
        return self._log or vars(self).setdefault("_log", _line_logger(self.link))

    @property
    def cancelled(self) -> threading.Event:
        """Set once nobody waits for the result any more."""
        return self._cancelled or vars(self).setdefault("_cancelled", threading.Event())

    @property
    def soft_timed_out(self) -> threading.Event:
        """Set at the soft time-out: finish soon."""
        return self._soft_timed_out or vars(self).setdefault("_soft_timed_out", threading.Event())

    @property
    def remaining_seconds(self) -> float:
        """Until the hard time-out; never negative."""
        return max(0.0, self._deadline - self._time.monotonic_seconds())

    async def sleep(self, seconds: float) -> None:
        """Wait without holding the loop. Being cancelled ends it early, as it ends any other wait of an async task."""
        self.check_cancelled()
        await self._time.sleep(seconds)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raises `Cancel` once the run was cancelled or timed out: nobody waits for its result any more."""
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancel("the run was cancelled")


class _LineHandler(logging.Handler):
    """One log line per line of the record, so that a traceback stays readable."""

    def __init__(self, link: AttemptLink) -> None:
        super().__init__()
        self._link = link
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """A record that does not fit its arguments is reported as everywhere in `logging`: it never fails the run."""
        try:
            lines = self.format(record).splitlines()
        except Exception:
            self.handleError(record)
            return
        for text in lines:
            self._link.line("log", text)


def _line_logger(link: AttemptLink) -> logging.Logger:
    """Outside of the process-wide tree of loggers: it belongs to one attempt and is forgotten with it."""
    logger = logging.Logger("rota.task", logging.DEBUG)  # noqa: LOG001  # see above
    logger.addHandler(_LineHandler(link))
    return logger
