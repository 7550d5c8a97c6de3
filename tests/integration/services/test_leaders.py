"""Leaders as real processes over a real PostgreSQL: killed, stopped, blocked, told to go.

How long a take-over takes is measured by `bench/takeover.py`; here it only has to come before a deadline.
"""

import signal
from datetime import timedelta
from itertools import pairwise

import pytest

from rota.domain.run import Run
from rota.domain.triggers import IntervalTrigger
from tests.integration.services.conftest import LeaderProcess, Office
from tests.support.waiting import wait_until

EVERY_SECOND = IntervalTrigger(every_seconds=1)


def assert_every_second_once(runs: list[Run]) -> None:
    """No nominal time is missing between the first and the last, and none is there twice."""
    times = [run.fire_at for run in runs if run.fire_at is not None]
    assert len(times) == len(runs)
    assert [after - before for before, after in pairwise(times)] == [timedelta(seconds=1)] * (len(times) - 1)


async def a_leader_and_standbys(office: Office, standbys_count: int = 1) -> tuple[LeaderProcess, list[LeaderProcess]]:
    """The first one leads, the others stand by."""
    first = office.leader("first")
    await first.says("leads")
    standbys = [office.leader(f"standby-{number}") for number in range(standbys_count)]
    for standby in standbys:
        await standby.says("stands by")
    return first, standbys


async def next_leader(standbys: list[LeaderProcess]) -> LeaderProcess:
    """The one of them that leads, as soon as one does."""
    found = await wait_until(
        lambda: next((each for each in standbys if each.leads_now), None), 15.0, "a standby has taken over"
    )
    assert found is not None
    return found


@pytest.mark.parametrize("standbys_count", [1, 2])
async def test_a_killed_leader_is_followed_and_no_firing_is_lost(office: Office, standbys_count: int) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, standbys = await a_leader_and_standbys(office, standbys_count)
    await office.wait_runs(schedule, 2)

    first.send(signal.SIGKILL)
    await next_leader(standbys)

    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    await office.journal.assert_one_leader_at_a_time()
    assert len(await office.journal.terms()) == 2


@pytest.mark.parametrize("standbys_count", [1, 2])
async def test_a_leader_that_is_told_to_go_hands_over(office: Office, standbys_count: int) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, standbys = await a_leader_and_standbys(office, standbys_count)
    await office.wait_runs(schedule, 2)

    first.send(signal.SIGTERM)
    second = await next_leader(standbys)
    assert first.process.wait(10) == 0
    assert any(line.startswith("resigned") for line in first.lines())

    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    await office.journal.assert_one_leader_at_a_time()
    assert [holder for _, holder in await office.journal.terms()] == ["first", second.name]
    resigned = await office.platform_events("LeaderResigned")
    assert [(event.actor, event.data["reason"]) for event in resigned] == [("first", "it resigned")]
    elected = await office.platform_events("LeaderElected")
    assert [event.data["epoch"] for event in elected][:2] == [1, 2]


@pytest.mark.parametrize("standbys_count", [1, 2])
async def test_a_stopped_leader_is_deposed_and_fires_nothing_when_it_wakes(office: Office, standbys_count: int) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, standbys = await a_leader_and_standbys(office, standbys_count)
    await office.wait_runs(schedule, 2)

    first.send(signal.SIGSTOP)
    second = await next_leader(standbys)
    first.send(signal.SIGCONT)
    await wait_until(lambda: not first.leads_now, 10.0, "the deposed one knows it")

    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    assert (second.leads_now, first.led_epochs()) == (True, [1])
    await office.journal.assert_one_leader_at_a_time()


@pytest.mark.parametrize("standbys_count", [1, 2])
async def test_a_leader_frozen_between_its_statement_and_the_commit_blocks_nobody(
    office: Office, standbys_count: int
) -> None:
    """It holds the fence, and the rows that it has written: the store takes them from it (design law 2)."""
    schedule = await office.schedule(EVERY_SECOND)
    first = office.leader("first", freeze="before-commit")
    await first.says("leads")
    standbys = [office.leader(f"standby-{number}") for number in range(standbys_count)]
    await first.says("stops itself")

    await next_leader(standbys)
    runs = await office.wait_runs(schedule, 5)
    assert_every_second_once(runs)

    first.send(signal.SIGCONT)
    await first.says("goes on")
    await wait_until(lambda: not first.leads_now, 10.0, "the deposed one knows it")
    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    await office.journal.assert_one_leader_at_a_time()
    assert {act.actor for act in await office.journal.acts()} <= {each.name for each in standbys}


async def test_a_statement_of_a_deposed_leader_is_refused(office: Office) -> None:
    """It has asked whether it leads, is frozen, and then sends what it decided: too late by a term."""
    schedule = await office.schedule(EVERY_SECOND)
    first = office.leader("first", freeze="before-call")
    await first.says("stops itself")
    second = office.leader("second")
    await second.says("leads")
    await office.wait_runs(schedule, 3)

    first.send(signal.SIGCONT)
    await first.says("goes on")
    await wait_until(lambda: not first.leads_now, 10.0, "the deposed one knows it")
    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    await office.journal.assert_one_leader_at_a_time()
    assert {act.actor for act in await office.journal.acts()} == {"second"}


async def test_leaders_that_fall_one_after_the_other_are_each_followed(office: Office) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, standbys = await a_leader_and_standbys(office, 2)
    fallen = [first]
    for number in (signal.SIGKILL, signal.SIGSTOP):
        await office.wait_more_runs(schedule, 1)
        fallen[-1].send(number)
        fallen.append(await next_leader([each for each in standbys if each not in fallen]))

    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    await office.journal.assert_one_leader_at_a_time()
    assert [holder for _, holder in await office.journal.terms()] == [each.name for each in fallen]


async def test_a_blocked_main_loop_does_not_lose_the_lease(office: Office) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    first, (second,) = await a_leader_and_standbys(office)
    await office.wait_runs(schedule, 1)

    first.send(signal.SIGUSR1)
    await first.says("thaws")

    assert second.led_epochs() == []
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
