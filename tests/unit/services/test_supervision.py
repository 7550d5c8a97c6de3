import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import pairwise

import pytest

from rota.domain.errors import Bug, Unavailable
from rota.services.supervision import BACKOFF_SECONDS_MAX, Duty, Supervisor
from tests.unit.core.values import LoadedDice
from tests.unit.services.virtual_time import VirtualClock

Run = Callable[[], Awaitable[None]]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def supervise(clock: VirtualClock) -> AsyncGenerator[Callable[..., Supervisor]]:
    """Starts duties and stops them when the test has ended."""
    started: list[Supervisor] = []

    def start(**duties: Run) -> Supervisor:
        supervisor = Supervisor([Duty(name, run) for name, run in duties.items()], clock, LoadedDice(1.0))
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        await supervisor.stop()


async def for_ever() -> None:
    await asyncio.Event().wait()


def failing(clock: VirtualClock, times: list[float], error: Exception) -> Run:
    async def run() -> None:
        times.append(clock.now - 1000.0)
        raise error

    return run


async def test_a_duty_that_fails_is_started_again_after_growing_pauses(
    clock: VirtualClock, supervise: Callable[..., Supervisor]
) -> None:
    began: list[float] = []
    supervisor = supervise(looking=failing(clock, began, Unavailable("the store is away")))
    await clock.run_for(20.0)

    pauses = [after - before for before, after in pairwise(began)]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert max(pauses) == pytest.approx(BACKOFF_SECONDS_MAX)
    assert supervisor.statuses[0].restarts_count == len(began)
    assert supervisor.statuses[0].last_error == "Unavailable: the store is away"


async def test_an_unexpected_error_is_survived_too(clock: VirtualClock, supervise: Callable[..., Supervisor]) -> None:
    began: list[float] = []
    supervise(looking=failing(clock, began, ZeroDivisionError("oh")))
    await clock.run_for(1.0)

    assert len(began) > 3


async def test_a_duty_that_ran_steadily_begins_its_pauses_anew(
    clock: VirtualClock, supervise: Callable[..., Supervisor]
) -> None:
    began: list[float] = []

    async def run() -> None:
        began.append(clock.now - 1000.0)
        await clock.sleep(31.0)
        raise Unavailable("away")

    supervise(looking=run)
    await clock.run_for(130.0)

    assert began == pytest.approx([0.0, 31.1, 62.2, 93.3, 124.4])


async def test_a_defect_stops_everything(clock: VirtualClock, supervise: Callable[..., Supervisor]) -> None:
    stopped: list[str] = []

    async def other() -> None:
        try:
            await for_ever()
        finally:
            stopped.append("other")

    supervisor = supervise(other=other, broken=failing(clock, [], Bug("an impossible state")))

    with pytest.raises(Bug, match="impossible"):
        await supervisor.wait()
    assert stopped == ["other"]
    assert not any(status.running for status in supervisor.statuses)


async def test_duties_are_stopped_in_reverse_order(clock: VirtualClock, supervise: Callable[..., Supervisor]) -> None:
    story: list[str] = []

    def noting(name: str) -> Run:
        async def run() -> None:
            story.append(f"+{name}")
            try:
                await for_ever()
            finally:
                story.append(f"-{name}")

        return run

    supervisor = supervise(a=noting("a"), b=noting("b"), c=noting("c"))
    await clock.run_for(0.0)
    await supervisor.stop()
    await supervisor.stop()

    assert story == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_duties_that_end_of_themselves_are_not_restarted(
    clock: VirtualClock, supervise: Callable[..., Supervisor]
) -> None:
    calls: list[int] = []

    async def once() -> None:
        calls.append(1)

    supervisor = supervise(once=once)
    await supervisor.wait()

    assert (calls, supervisor.statuses[0].restarts_count) == ([1], 0)
