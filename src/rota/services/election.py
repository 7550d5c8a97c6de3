"""Takes part in the election of one duty's leader, on behalf of one process.

The machine of `core.leadership` runs in a thread with a loop and a connection of its own (`services.lease_thread`), so
that a main loop which is busy for seconds cannot lose the lease. Any thread may ask `fence()`. Changes are told to the
main loop by events that coalesce; what they were is taken with `take_changes`. Whoever acts asks for the fence anew
each time: a change that was not heard costs a refused write and nothing else.
"""

import asyncio
from collections import deque
from contextlib import suppress

import structlog

from rota.core.leadership import FenceRefused, LeadershipPolicy, Nudged, Resign
from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.ports.clock import Clock
from rota.ports.rng import Rng
from rota.ports.wakeups import Wakeups
from rota.services.lease_thread import LeadershipChange, LeaseThread, OpenLeases, Tell

_log = structlog.get_logger("rota.election")

RESIGN_SECONDS_MAX = 0.4
# Announcements are gathered before they are sent; a process that ends sooner takes this one with it.
ANNOUNCE_SECONDS = 0.05
CHANGES_MAX = 100


def leader_topic(lease_name: str) -> str:
    """The wake-up that tells standbys of a lease which was given back."""
    return f"leader:{lease_name}"


class Election:
    """One process's part in the election of one duty's leader."""

    def __init__(
        self, policy: LeadershipPolicy, open_leases: OpenLeases, wakeups: Wakeups, clock: Clock, rng: Rng
    ) -> None:
        """`open_leases` is called in the thread's own loop, again after each failure; `rng` is used there alone."""
        self._policy = policy
        self._open_leases = open_leases
        self._wakeups = wakeups
        self._clock = clock
        self._rng = rng
        self._term: LeaseThread | None = None
        self._changes: deque[LeadershipChange] = deque(maxlen=CHANGES_MAX)
        self._subscribers: list[asyncio.Event] = []

    @property
    def policy(self) -> LeadershipPolicy:
        return self._policy

    def fence(self) -> Fence | None:
        """What to act under; None unless this process leads, now. Safe in any thread."""
        return None if self._term is None else self._term.fence()

    def refuse(self, epoch: Epoch) -> None:
        """A write under `epoch` was refused: the term is not trusted any more."""
        if self._term is not None:
            self._term.post(FenceRefused(epoch))

    def subscribe(self) -> asyncio.Event:
        """An event of the main loop that is set at every change; the reader clears it."""
        event = asyncio.Event()
        self._subscribers.append(event)
        return event

    def take_changes(self) -> list[LeadershipChange]:
        """The changes since the last call, oldest first; at most `CHANGES_MAX` are kept."""
        taken = list(self._changes)
        self._changes.clear()
        return taken

    async def run(self) -> None:
        """Takes part until `resign`, or until it is cancelled, which resigns too. Raises what broke the thread."""
        main = asyncio.get_running_loop()
        term = LeaseThread(self._policy, self._open_leases, self._clock, self._rng)
        self._term = term
        nudging = asyncio.create_task(self._relay_nudges(term))
        try:
            await term.run(lambda change: _call_in(main, self._tell, change))
        finally:
            nudging.cancel()
            await self.resign()

    async def resign(self) -> None:
        """Leads no more from now on, gives the lease back and tells the standbys; under half a second in all."""
        term, self._term = self._term, None
        if term is None:
            return
        term.post(Resign())
        await term.wait_ended(RESIGN_SECONDS_MAX)
        self._wakeups.announce(leader_topic(self._policy.lease_name))
        await self._clock.sleep(ANNOUNCE_SECONDS)

    async def _relay_nudges(self, term: LeaseThread) -> None:
        freed = self._wakeups.subscribe(leader_topic(self._policy.lease_name))
        while True:
            await freed.wait()
            freed.clear()
            term.post(Nudged())

    def _tell(self, change: LeadershipChange) -> None:
        word = "leads" if change.gained else "leads no more"
        _log.info(word, lease=change.fence.lease_name, epoch=change.fence.epoch, reason=change.reason)
        self._changes.append(change)
        for event in self._subscribers:
            event.set()


def _call_in(loop: asyncio.AbstractEventLoop, act: Tell, change: LeadershipChange) -> None:
    """In a loop of another thread, which may have ended: then there is nobody left to be told."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(act, change)
