"""Keeping a worker's lease: registering, renewing, and passing on what each renewal says.

Trust runs from the moment at which a request was *sent*, never from its answer: a slow answer does not stretch it. An
error costs nothing until trust has run out; a refusal ends the lease at once. Whoever handles events looks at the end
of trust first, so this loop may be late without harm. A renewal that is not answered is given up when a next one is
due, so that one stuck connection does not cost the lease.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from rota.domain.errors import Unavailable
from rota.domain.ids import WorkerId
from rota.domain.worker import Renewal, WorkerSpec
from rota.worker.options import WorkerOptions
from rota.worker.session_words import CancelAsked, Event, Tick, WorkDueIn, WorkHinted
from rota.worker.worker_ports import WorkerPorts

RETRY_SECONDS = 0.3
REGISTER_RETRY_SECONDS_MAX = 5.0
# Between two renewals that are asked for by wake-ups: a storm of cancellations is answered by few queries.
RENEWAL_GAP_SECONDS_MIN = 0.2

_log = structlog.get_logger("rota.worker.lease")


class LeaseKeeper:
    """One incarnation's lease."""

    def __init__(self, worker_id: WorkerId, options: WorkerOptions, ports: WorkerPorts) -> None:
        self._worker_id = worker_id
        self._options = options
        self._ports = ports
        self._cancel_hint = ports.wakeups.subscribe("cancel")

    async def register(self, spec: WorkerSpec) -> float:
        """Until the store has it. Answers until when the lease may be trusted."""
        delay = RETRY_SECONDS
        while True:
            sent_at = self._ports.clock.monotonic_seconds()
            try:
                await self._ports.workers.register(spec, self._options.lease_seconds)
                return self._trusted_until(sent_at, self._options.lease_seconds)
            except Unavailable as away:
                _log.warning("registration_waits", detail=away.detail)
                await self._ports.clock.sleep(delay)
                delay = min(delay * 2, REGISTER_RETRY_SECONDS_MAX)

    async def keep(
        self, on_trust: Callable[[float], None], on_refused: Callable[[str], None], handle: Callable[[Event], None]
    ) -> None:
        """Renew until refused. `on_trust` gets each new end of trust; `handle` what the renewal said."""
        pause = self._options.renew_seconds
        while True:
            await self._pause(pause)
            sent_at = self._ports.clock.monotonic_seconds()
            try:
                renewal = await self._renewed()
            except (Unavailable, TimeoutError) as away:
                _log.warning("renewal_failed", reason=str(away) or "no answer in time")
                handle(Tick())  # which looks at the end of trust
                pause = RETRY_SECONDS
                continue
            pause = self._options.renew_seconds
            if renewal is None:
                on_refused("the store says that it has ended")
                return
            on_trust(self._trusted_until(sent_at, renewal.lease_seconds))
            for event in _events_of(renewal):
                handle(event)

    async def _renewed(self) -> Renewal | None:
        async with asyncio.timeout(self._options.renew_seconds):
            return await self._ports.workers.renew_if_live(
                self._worker_id, self._options.queues, self._options.lease_seconds
            )

    async def _pause(self, seconds: float) -> None:
        """Until a renewal is due, or somebody says that there is something to cancel."""
        await self._ports.clock.sleep(min(RENEWAL_GAP_SECONDS_MIN, seconds))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cancel_hint.wait(), max(0.0, seconds - RENEWAL_GAP_SECONDS_MIN))
        self._cancel_hint.clear()

    def _trusted_until(self, sent_at: float, lease_seconds: float) -> float:
        return sent_at + lease_seconds - self._options.margin_seconds


def _events_of(renewal: Renewal) -> list[Event]:
    events: list[Event] = []
    if renewal.cancel_run_ids:
        events.append(CancelAsked(renewal.cancel_run_ids))
    if renewal.work_is_due:
        events.append(WorkHinted())
    if renewal.next_due_in_seconds is not None:
        events.append(WorkDueIn(max(0.0, renewal.next_due_in_seconds)))
    return events or [Tick()]
