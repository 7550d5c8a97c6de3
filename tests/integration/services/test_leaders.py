"""Leaders as real processes over a real PostgreSQL: killed, stopped, blocked, told to go."""

import signal
from datetime import timedelta
from itertools import pairwise

from rota.domain.run import Run
from rota.domain.triggers import IntervalTrigger
from tests.integration.services.conftest import CLOCK, LeaderProcess, Office

EVERY_SECOND = IntervalTrigger(every_seconds=1)


def assert_every_second_once(runs: list[Run]) -> None:
    """No nominal time is missing between the first and the last, and none is there twice."""
    times = [run.fire_at for run in runs if run.fire_at is not None]
    assert len(times) == len(runs)
    assert [after - before for before, after in pairwise(times)] == [timedelta(seconds=1)] * (len(times) - 1)


async def two_leaders(office: Office) -> tuple[LeaderProcess, LeaderProcess]:
    """The first one leads, the second one stands by."""
    first = office.leader("first")
    await first.says("leads")
    second = office.leader("second")
    await second.says("stands by")
    return first, second


async def test_a_killed_leader_is_followed_within_three_seconds_and_no_firing_is_lost(office: Office) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, second = await two_leaders(office)
    await office.wait_runs(schedule, 2)

    first.send(signal.SIGKILL)
    killed_at = CLOCK.monotonic_seconds()
    await second.says("leads")
    assert CLOCK.monotonic_seconds() - killed_at <= 3.0

    seen = len(await office.runs(schedule))
    runs = await office.wait_runs(schedule, seen + 3)
    assert_every_second_once(runs)


async def test_a_leader_that_is_told_to_go_hands_over_within_half_a_second(office: Office) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, second = await two_leaders(office)
    await office.wait_runs(schedule, 2)

    first.send(signal.SIGTERM)
    told_at = CLOCK.monotonic_seconds()
    await second.says("leads")
    assert CLOCK.monotonic_seconds() - told_at <= 0.5
    assert first.process.wait(10) == 0
    assert float((await first.says("resigned")).split()[1]) < 0.5

    assert_every_second_once(await office.wait_runs(schedule, 5))
    resigned = await office.platform_events("LeaderResigned")
    assert [(event.actor, event.data["reason"]) for event in resigned] == [("first", "it resigned")]
    elected = await office.platform_events("LeaderElected")
    assert [event.data["epoch"] for event in elected][:2] == [1, 2]


async def test_a_stopped_leader_is_deposed_and_fires_nothing_when_it_wakes(office: Office) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, second = await two_leaders(office)
    await office.wait_runs(schedule, 2)

    first.send(signal.SIGSTOP)
    await second.says("leads 2")
    first.send(signal.SIGCONT)
    await office.wait_runs(schedule, len(await office.runs(schedule)) + 3)

    said = [line for line in first.lines() if line.startswith(("leads", "stands by"))]
    assert said[-1].startswith("stands by")
    assert_every_second_once(await office.runs(schedule))


async def test_a_blocked_main_loop_does_not_lose_the_lease(office: Office) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, second = await two_leaders(office)
    await office.wait_runs(schedule, 1)

    first.send(signal.SIGUSR1)
    await first.says("thaws")

    assert not any(line.startswith("leads") for line in second.lines())
    assert_every_second_once(await office.wait_runs(schedule, 8))


async def test_the_next_leader_catches_up_what_was_due_while_nobody_led(office: Office) -> None:
    schedule = await office.schedule(IntervalTrigger(every_seconds=0.5))
    first = office.leader("first")
    await office.wait_runs(schedule, 2)
    first.send(signal.SIGKILL)
    first.process.wait()
    before = len(await office.runs(schedule))

    second = office.leader("second")
    await second.says("leads")
    runs = await office.wait_runs(schedule, before + 5)

    times = [run.fire_at for run in runs if run.fire_at]
    assert [after - earlier for earlier, after in pairwise(times)] == [timedelta(seconds=0.5)] * (len(times) - 1)
