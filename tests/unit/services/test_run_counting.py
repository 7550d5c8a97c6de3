import asyncio

from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.domain.statistics import LifetimeSums, RunSums
from rota.services.run_counting import BUSY_SECONDS, DELTAS_PER_CALL_MAX, IDLE_SECONDS, RunCountingDuty
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

FENCE = Fence("leader", Epoch(1), "me")


class Deltas:
    """So many deltas, and how often they were asked for."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.calls = 0

    async def add_up(self, limit: int) -> int:
        self.calls += 1
        taken = min(limit, self.left)
        self.left -= taken
        return taken

    async def platform_lifetime(self) -> LifetimeSums:
        return LifetimeSums(None, RunSums())


async def run_for(seconds: float, deltas: Deltas, fence: Fence | None = FENCE) -> Deltas:
    clock = VirtualClock()
    running = asyncio.create_task(RunCountingDuty(deltas, FixedLeadership(fence), clock).run())
    await clock.run_for(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return deltas


async def test_all_that_is_left_is_added_up_in_one_round() -> None:
    deltas = await run_for(BUSY_SECONDS / 2, Deltas(3 * DELTAS_PER_CALL_MAX + 1))
    assert (deltas.left, deltas.calls) == (0, 4)


async def test_an_idle_leader_asks_rarely_and_who_does_not_lead_never() -> None:
    assert (await run_for(4 * IDLE_SECONDS + 1, Deltas(0))).calls == 5
    assert (await run_for(4 * IDLE_SECONDS + 1, Deltas(5), None)).calls == 0
