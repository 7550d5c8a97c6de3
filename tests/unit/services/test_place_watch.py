"""When the watch looks again, on virtual time."""

import asyncio
from collections import deque

import pytest

from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.ports.place_store import PlacesGiven
from rota.services.place_watch import POLL_SECONDS, SPACING_SECONDS, WAITING_POLL_SECONDS, PlaceWatch
from tests.unit.services.virtual_time import FixedLeadership, LoudWakeups, VirtualClock

LEADS = FixedLeadership(Fence("leader", Epoch(1), "me"))


class Told:
    """A `PlaceStore` that answers what the test says, and from then on that nobody waits."""

    def __init__(self, clock: VirtualClock, *answers: PlacesGiven) -> None:
        self.clock = clock
        self.answers = deque(answers)
        self.looks_at: list[float] = []

    async def give_places(self, behind: str | None, keys_max: int) -> PlacesGiven:
        del behind, keys_max
        self.looks_at.append(self.clock.now)
        return self.answers.popleft() if self.answers else PlacesGiven((), None, None)


async def pause_after(*answers: PlacesGiven) -> float:
    """Seconds from the last of these looks to the next one."""
    clock = VirtualClock()
    told = Told(clock, *answers)
    running = asyncio.create_task(PlaceWatch(told, LEADS, LoudWakeups(), clock).run())
    await clock.run_for(2 * POLL_SECONDS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return told.looks_at[len(answers)] - told.looks_at[len(answers) - 1] - SPACING_SECONDS


@pytest.mark.parametrize(
    ("answers", "pause_seconds"),
    [
        ([PlacesGiven((), None, None)], POLL_SECONDS),
        ([PlacesGiven((), None, 1.25)], 1.25),
        ([PlacesGiven((), None, 3600.0)], POLL_SECONDS),
        ([PlacesGiven((), None, 0.0)], WAITING_POLL_SECONDS),
        ([PlacesGiven((), None, -9.0)], WAITING_POLL_SECONDS),
        ([PlacesGiven((), "k", 1.25), PlacesGiven((), None, None)], 1.25),
        ([PlacesGiven((), "k", 1.25), PlacesGiven((), None, None), PlacesGiven((), None, None)], POLL_SECONDS),
    ],
)
async def test_it_looks_again_when_the_first_run_of_all_pages_is_due(
    answers: list[PlacesGiven], pause_seconds: float
) -> None:
    assert await pause_after(*answers) == pytest.approx(pause_seconds)
