"""Claims and what becomes of those that are not answered: nothing that the store gave this worker stays unknown to it.

A claim that is not answered in time is given up, its outcome unknown. Whatever it took is found by asking the store
what it believes this worker to hold (see `forgotten`) and given back under its token: the run keeps its place in the
queue, and no attempt is counted. Asking is repeated for as long as the lease lasts, so a look that fails, or that comes
before a slow claim, costs time only.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet

import structlog

from rota.domain.errors import Stale, Unavailable
from rota.domain.ids import WorkerId
from rota.ports.run_store import HeldRun
from rota.worker.answering import answered_in_time
from rota.worker.forgotten import Hold, LookPace, forgotten
from rota.worker.session_words import Claimed, ClaimFailed
from rota.worker.worker_ports import WorkerPorts

# More than a worker has slots, so that what it knows cannot hide all that it does not.
HELD_PER_LOOK_MAX = 5_000

_log = structlog.get_logger("rota.worker.claiming")


class Claiming:
    """The claims of one incarnation. `known` says what it works on, or has yet to settle."""

    def __init__(
        self, worker_id: WorkerId, queues: tuple[str, ...], ports: WorkerPorts, known: Callable[[], AbstractSet[Hold]]
    ) -> None:
        self._worker_id = worker_id
        self._queues = queues
        self._ports = ports
        self._known = known
        self._pace = LookPace()
        self._look_seconds = 0.0
        self._doubted = asyncio.Event()
        self._under_way: set[asyncio.Event] = set()

    async def claim(
        self, limit: int, handle: Callable[[Claimed | ClaimFailed], None], on_refused: Callable[[str], None]
    ) -> None:
        """One claim, whose answer is handled before it counts as ended."""
        ended = asyncio.Event()
        self._under_way.add(ended)
        try:
            async with answered_in_time():
                runs = await self._ports.claims.claim_batch(self._worker_id, self._queues, limit)
        except Unavailable as away:
            _log.warning("claim_failed", detail=away.detail)
            self._doubt()
            handle(ClaimFailed(limit))
        except Stale as refused:
            on_refused(f"a claim was refused: {refused.detail}")
        else:
            handle(Claimed(runs, limit))
        finally:
            self._under_way.discard(ended)
            ended.set()

    async def keep_looking(self) -> None:
        """For as long as the lease lasts."""
        while True:
            await self._pause()
            try:
                await self.give_back_forgotten()
            except Unavailable as away:
                _log.warning("look_failed", detail=away.detail)
            self._pace.looked(self._look_seconds)

    async def give_back_forgotten(self) -> None:
        """One look. Raises Unavailable; it can be repeated at any time."""
        listed = await self._list_held()
        for ended in tuple(self._under_way):
            await ended.wait()
        found = forgotten(listed, self._known())
        if not found:
            return
        async with answered_in_time():
            given_back = await self._ports.claims.give_back_batch(found)
        # What was settled since the list was made is refused, and was not forgotten.
        if given_back:
            _log.warning("claims_found", count=given_back, reason="the answer to their claim never arrived")
            self._announce(found)

    async def _list_held(self) -> tuple[HeldRun, ...]:
        began = self._ports.clock.monotonic_seconds()
        try:
            async with answered_in_time():
                return await self._ports.claims.list_held(self._worker_id, HELD_PER_LOOK_MAX)
        finally:
            self._look_seconds = self._ports.clock.monotonic_seconds() - began

    def _announce(self, found: tuple[HeldRun, ...]) -> None:
        for queue in {held.queue for held in found}:
            self._ports.wakeups.announce(f"queue:{queue}")

    def _doubt(self) -> None:
        self._pace.doubt()
        self._doubted.set()

    async def _pause(self) -> None:
        """A new doubt cuts a long pause short, and starts the distances again."""
        self._doubted.clear()
        pausing = asyncio.ensure_future(self._ports.clock.sleep(self._pace.wait_seconds))
        doubted = asyncio.ensure_future(self._doubted.wait())
        try:
            await asyncio.wait((pausing, doubted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pausing.cancel()
            doubted.cancel()
        if self._doubted.is_set():
            await self._ports.clock.sleep(self._pace.wait_seconds)
