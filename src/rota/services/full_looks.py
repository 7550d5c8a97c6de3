"""Looks through everything, which the leader's frequent looks do not: they begin where earlier ones have found nothing.

How long such a look takes may grow with all that has happened since the oldest open snapshot of the database. So these
run beside the leader's round, which waits for none of them, and take a small part of the time, whatever one takes.
"""

import asyncio
from collections.abc import Awaitable, Callable

from rota.ports.clock import Clock
from rota.services.leadership import Leadership
from rota.services.resting import Rest
from rota.services.waiting import wait_for_any

# From the end of one look to the next, unless that is `wanted` earlier.
FULL_LOOK_SECONDS = 60.0
REST_SECONDS_MIN = 1.0


class FullLooks:
    """One kind of them, while this process leads. Set `wanted` where one should not wait for its time."""

    def __init__(self, look: Callable[[], Awaitable[object]], leadership: Leadership, clock: Clock) -> None:
        self._look = look
        self._leadership = leadership
        self._clock = clock
        self._changed = leadership.subscribe()
        self._rest = Rest()
        self._rest_until: float | None = None
        self.wanted = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run rests first."""
        while True:
            self._changed.clear()
            await self._end_rest()
            if self._leadership.fence() is not None:
                await self._look_once()
                await wait_for_any([self.wanted, self._changed], self._clock, FULL_LOOK_SECONDS)
            else:
                await wait_for_any([self._changed], self._clock, FULL_LOOK_SECONDS)

    async def _end_rest(self) -> None:
        if self._rest_until is not None:
            seconds = self._rest_until - self._clock.monotonic_seconds()
            if seconds > 0:
                await self._clock.sleep(seconds)

    async def _look_once(self) -> None:
        self.wanted.clear()
        began = self._clock.monotonic_seconds()
        try:
            await self._look()
        finally:
            ended = self._clock.monotonic_seconds()
            self._rest.looked(ended - began)
            self._rest_until = ended + max(REST_SECONDS_MIN, self._rest.seconds)
