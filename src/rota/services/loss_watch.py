"""Decides from when on the leader looks for overdue attempts, and calls for a rescue when a look has found something.

A claim makes a deadline that is still to come. So once no attempt was overdue up to some time, none will be with an
earlier deadline, and the next look begins there: what ended since leaves entries in the index, and each is passed once.
Where the store's clock is set back, that time goes back with it. Where all this may not hold, a look through everything
makes up for it: when this process begins to lead, where a look has failed, and now and then, since a claim may be
committed long after it was made.
"""

import asyncio
from datetime import datetime, timedelta

from rota.domain.errors import Unavailable
from rota.ports.clock import Clock
from rota.ports.firing_store import LeaderLook
from rota.services.full_looks import FullLooks
from rota.services.leadership import Leadership
from rota.services.rescuing import OVERDUE_GRACE_SECONDS, Rescuing

_GRACE = timedelta(seconds=OVERDUE_GRACE_SECONDS)


class LossWatch:
    """Rescues beside the leader's round, which waits for none of them."""

    def __init__(self, rescuing: Rescuing, leadership: Leadership, clock: Clock) -> None:
        self._rescuing = rescuing
        self._floor: datetime | None = None
        self._seen_until: datetime | None = None
        self._called = asyncio.Event()
        self.fully = FullLooks(rescuing.rescue, leadership, clock)

    @property
    def span(self) -> tuple[float | None, datetime | None]:
        """What to ask of the next look: the grace, or None for none, and the deadlines to begin with."""
        return (None, None) if self._floor is None else (OVERDUE_GRACE_SECONDS, self._floor)

    def note(self, look: LeaderLook) -> None:
        """Takes the answer of a look that was asked for `span`."""
        until = look.now - _GRACE
        if self._floor is None:
            self._floor = until
            self.fully.wanted.set()
        elif not look.overdue_attempts:
            self._floor = until
        if look.lost_workers or look.overdue_attempts:
            self._seen_until = until
            self._called.set()

    def give_up(self) -> None:
        """A look failed, maybe for all that it passed: what it was for is left to a look through everything."""
        self._floor = None

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next look calls again."""
        while True:
            await self._called.wait()
            self._called.clear()
            since, until = self._floor, self._seen_until
            try:
                rescued = await self._rescuing.rescue_since(since or until)
            except Unavailable:
                self.give_up()
                raise
            if rescued.is_all and self._floor == since:
                self._floor = until
