"""Looks through everything are rare, and the rarer the longer they take."""

from collections.abc import AsyncGenerator

import pytest

from rota.domain.errors import Unavailable
from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.services.full_looks import FULL_LOOK_SECONDS, REST_SECONDS_MIN, FullLooks
from rota.services.resting import REST_PER_SECOND, Rest
from rota.services.supervision import Duty, Supervisor
from tests.unit.core.values import LoadedDice
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

FENCE = Fence("leader", Epoch(1), "me")


class Desk:
    """Looks that take as long as the test says."""

    def __init__(self) -> None:
        self.clock, self.leadership = VirtualClock(), FixedLeadership(FENCE)
        self.took_seconds = 0.0
        self.fails = False
        self.began: list[float] = []
        self.looks = FullLooks(self._look, self.leadership, self.clock)
        self.supervisor = Supervisor([Duty("looks", self.looks.run)], self.clock, LoadedDice())

    async def _look(self) -> None:
        self.began.append(self.clock.now)
        await self.clock.sleep(self.took_seconds)
        if self.fails:
            raise Unavailable("statement timeout")

    @property
    def distances(self) -> list[float]:
        return [after - before for before, after in zip(self.began, self.began[1:], strict=False)]


@pytest.fixture
async def desk() -> AsyncGenerator[Desk]:
    made = Desk()
    made.supervisor.start()
    yield made
    await made.supervisor.stop()


async def test_a_leader_looks_at_once_and_then_now_and_then(desk: Desk) -> None:
    await desk.clock.run_for(FULL_LOOK_SECONDS * 10 + 1)
    assert desk.distances == [FULL_LOOK_SECONDS] * 10


async def test_who_does_not_lead_does_not_look(desk: Desk) -> None:
    desk.leadership.change(None)
    await desk.clock.run_for(FULL_LOOK_SECONDS * 3)
    assert len(desk.began) <= 1
    desk.leadership.change(FENCE)
    await desk.clock.run_for(REST_SECONDS_MIN)
    assert desk.clock.now - desk.began[-1] <= REST_SECONDS_MIN


@pytest.mark.parametrize("fails", [False, True])
async def test_looks_take_a_small_part_of_the_time_however_often_they_are_wanted(desk: Desk, *, fails: bool) -> None:
    desk.took_seconds, desk.fails = 8.0, fails
    for _ in range(3_600):
        desk.looks.wanted.set()
        await desk.clock.run_for(1.0)
    # The first two told how long they take.
    assert min(desk.distances[2:]) >= 8.0 * REST_PER_SECOND
    assert 8 <= len(desk.began) <= 3 + 3_600 / (8.0 * (REST_PER_SECOND + 1))


async def test_one_that_is_wanted_comes_after_a_short_rest(desk: Desk) -> None:
    await desk.clock.run_for(0.1)
    desk.looks.wanted.set()
    await desk.clock.run_for(2 * REST_SECONDS_MIN)
    assert desk.distances == [REST_SECONDS_MIN]


def test_one_look_that_took_long_is_no_reason_to_rest() -> None:
    rest, seconds = Rest(), list[float]()
    for took in (10.0, 0.1, 9.0, 8.0):
        rest.looked(took)
        seconds.append(rest.seconds)
    assert seconds == [0.0, 0.1 * REST_PER_SECOND, 0.1 * REST_PER_SECOND, 8.0 * REST_PER_SECOND]
