"""A clock that moves only when a test says so, and stand-ins that count."""

import asyncio
import heapq
from itertools import count

from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from tests.support.waiting import loop_sleep

TURNS = 20


class VirtualClock:
    """`rota.ports.clock.Clock` on virtual time: `run_for` wakes sleepers in order and lets each do its work."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def monotonic_seconds(self) -> float:
        return self.now

    def wall_ns(self) -> int:
        return round(self.now * 1e9)

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), woken))
        await woken

    async def run_for(self, seconds: float) -> None:
        end = self.now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self.now = max(self.now, at)
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        self.now = end

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await loop_sleep(0)


class FixedLeadership:
    """Leads or not, as the test says."""

    def __init__(self, fence: Fence | None) -> None:
        self.current = fence
        self.refused: list[Epoch] = []
        self.events: list[asyncio.Event] = []

    def fence(self) -> Fence | None:
        return self.current

    def refuse(self, epoch: Epoch) -> None:
        self.refused.append(epoch)
        self.current = None

    def subscribe(self) -> asyncio.Event:
        self.events.append(asyncio.Event())
        return self.events[-1]

    def change(self, fence: Fence | None) -> None:
        self.current = fence
        for event in self.events:
            event.set()


class LoudWakeups:
    """Keeps what was announced."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        self.events: dict[str, asyncio.Event] = {}

    def announce(self, topic: str) -> None:
        self.announced.append(topic)

    def subscribe(self, topic: str) -> asyncio.Event:
        return self.events.setdefault(topic, asyncio.Event())
