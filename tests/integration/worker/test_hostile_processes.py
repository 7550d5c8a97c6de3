"""Handlers that end, freeze, fork or rob their process: what it costs, whom, and for how long."""

import asyncio
import os
import signal

import pytest

from rota.domain.ids import RunId
from rota.domain.policies import RetryPolicy
from rota.domain.run import Run
from tests.integration.worker.conftest import AT_ONCE, House, is_alive
from tests.integration.worker.hostile import (
    as_good_as_new,
    none_alive,
    outcomes,
    start,
    start_process,
    unharmed,
)
from tests.integration.worker.hostile_processes import DEATHS
from tests.support.waiting import wait_until

ONCE = RetryPolicy(attempts_max=1)


@pytest.mark.parametrize("kind", list(DEATHS))
async def test_a_handler_that_ends_its_process_costs_one_attempt_and_no_slot(house: House, kind: str) -> None:
    await start(house, "hostile_processes")
    run_ids: list[RunId] = []

    for task in ("die_in_thread", "die_on_loop"):
        run_id = await house.one(task, args={"kind": kind}, retry=ONCE, timeout_seconds=60.0)
        run_ids.append(run_id)
        assert (await house.ended(run_id, 15.0)).result == 2

    assert [await outcomes(house, run_id) for run_id in run_ids] == [["lost", "succeeded"]] * 2
    await unharmed(house)


async def test_an_end_that_the_store_cannot_keep_fails_its_run_and_takes_no_other_along(house: House) -> None:
    await start(house, "hostile_processes")
    forging = await house.one("forge", args={"key": 1}, retry=ONCE, timeout_seconds=60.0)

    run = await house.ended(forging)

    assert run.error is not None
    assert (run.state, run.error.type, run.attempts_count) == ("failed", "EndNotStorable", 1)
    assert "invalid input syntax for type json" in run.error.message
    await unharmed(house)


async def _only_error(house: House, task: str) -> Run:
    run_id = await house.one(task, retry=ONCE, timeout_seconds=60.0)
    run = await house.ended(run_id, 20.0)
    assert await outcomes(house, run_id) == ["failed"]
    return run


async def test_a_handler_that_fills_the_memory_it_may_have_has_failed(house: House) -> None:
    await start(house, "hostile_processes")

    run = await _only_error(house, "fill_memory")

    assert run.error is not None
    assert run.error.type == "MemoryError"
    await unharmed(house)


async def test_files_that_a_handler_leaks_are_not_missing_to_those_after_it(house: House) -> None:
    await start(house, "hostile_processes")

    run = await _only_error(house, "open_too_much")

    assert run.error is not None
    assert run.error.message == "[Errno 24] Too many open files"
    await unharmed(house)


async def test_a_forked_child_that_goes_on_writes_nothing_for_its_parent_and_ends_with_its_executor(
    house: House,
) -> None:
    await start(house, "hostile_processes")
    run_id = await house.marked("fork_and_write_on", retry=ONCE)

    run = await house.ended(run_id)
    (child,) = await house.began("child")
    await house.began("written", len(house.lines_of("written")) + 3)

    assert (run.result, await outcomes(house, run_id)) == ("parent", ["succeeded"])
    assert [line.text for line in await house.lines(run_id)] == []
    await unharmed(house)
    assert not is_alive(int(child))


@pytest.mark.parametrize("how", ["raise", "wait"])
async def test_a_forked_child_that_goes_on_with_the_loop_does_not_speak_for_its_parent(house: House, how: str) -> None:
    await start(house, "hostile_processes")
    run_id = await house.marked("fork_and_return_on_loop", args={"how": how}, retry=ONCE)

    run = await house.ended(run_id)
    (child,) = await house.began("child")

    assert (run.result, await outcomes(house, run_id)) == ("parent", ["succeeded"])
    await none_alive([int(child)], "the end of the child")
    await unharmed(house)


async def test_a_handler_may_fork_a_pool_of_processes_beside_all_the_threads(house: House) -> None:
    await start(house, "hostile_processes")

    runs = [await house.ended(run_id) for run_id in await house.enqueue("fan_out", 3, retry=ONCE)]

    assert [run.result for run in runs] == [190] * 3
    await unharmed(house)


async def test_threads_that_a_handler_leaves_behind_hold_nobody_up(house: House) -> None:
    await start(house, "hostile_processes")

    run = await house.ended(await house.marked("leave_threads", retry=ONCE))
    await house.began("talked", 10)

    assert run.result == "left"
    await unharmed(house)


async def test_processes_that_a_handler_leaves_behind_are_deaf_and_end_with_its_executor_all_the_same(
    house: House,
) -> None:
    await start(house, "hostile_processes")

    run = await house.ended(await house.marked("leave_processes", retry=ONCE))
    left = [int(pid) for pid in await house.began("left", 2)]

    assert run.result == "left"
    assert all(is_alive(pid) for pid in left)
    await unharmed(house)
    await none_alive(left, "the end of what was left behind")


async def test_a_process_with_a_session_of_its_own_is_left_alone_and_holds_nobody_up(house: House) -> None:
    await start(house, "hostile_processes")

    await house.ended(await house.marked("let_go", retry=ONCE))
    (gone,) = await house.began("let_go")

    await unharmed(house)
    assert is_alive(int(gone))
    os.kill(int(gone), signal.SIGKILL)


async def test_what_a_handler_starts_does_not_inherit_the_pipe_to_the_supervisor(house: House) -> None:
    await start(house, "hostile_processes")

    run = await house.ended(await house.one("inherited", retry=ONCE))

    assert run.result == []
    await unharmed(house)


async def test_a_process_that_is_stopped_while_it_seems_idle_goes_on_when_the_next_run_waits(house: House) -> None:
    """It is not killed for it: the supervisor wakes what does not begin."""
    await start(house, "hostile_processes", begin_seconds_max=0.5, retire_seconds_max=60.0)
    stopping = await house.one("stop_from_thread", retry=ONCE, timeout_seconds=30.0)

    after = await house.ended(await house.marked("meet", args={"table": "one", "guests": 1}), 10.0)

    assert after.state == "succeeded"
    assert (await house.ended(stopping, 10.0)).state == "succeeded"
    await unharmed(house)


async def test_a_handler_that_stops_its_process_is_timed_out_on_time_and_its_process_replaced(house: House) -> None:
    await start(house, "hostile_processes", retire_seconds_max=1.0)
    run_id = await house.marked("stop_from_loop", retry=ONCE, timeout_seconds=0.5)
    (stopped,) = await house.began("stopping")

    run = await house.ended(run_id, 10.0)

    assert (run.state, await outcomes(house, run_id)) == ("failed", ["timed_out"])
    await none_alive([int(stopped)], "the end of the stopped process")
    await unharmed(house)


async def test_a_handler_that_never_lets_go_of_the_interpreter_loses_its_process_to_those_that_wait(
    house: House,
) -> None:
    await start(house, "hostile_processes", begin_seconds_max=0.5, retire_seconds_max=1.0)
    holding = await house.marked("hold_interpreter", retry=ONCE, timeout_seconds=60.0)
    (holder,) = await house.began("holding")
    (before,) = await house.workers.list_recent(10)

    other = await house.ended(await house.marked("meet", args={"table": "one", "guests": 1}), 10.0)
    await house.cancel(holding)
    run = await house.ended(holding, 15.0)

    (after,) = await house.workers.list_recent(10)
    assert other.state == "succeeded"
    assert run.state == "cancelled"
    assert (after.id, after.state) == (before.id, "active")
    await none_alive([int(holder)], "the end of the holder")
    await unharmed(house)


async def test_an_end_that_comes_when_the_next_attempt_runs_is_not_taken_for_its_own(house: House) -> None:
    await start(house, "hostile_processes", stop_grace_seconds=20.0)
    run_id = await house.marked("end_late", retry=AT_ONCE, timeout_seconds=1.0)

    run = await house.ended(run_id)

    assert len(house.lines_of("late")) == 1
    assert (run.result, await outcomes(house, run_id)) == ("fresh", ["timed_out", "succeeded"])
    await unharmed(house)


async def test_a_drain_ends_also_a_handler_that_hears_no_signal(house: House) -> None:
    worker = start_process(house, "hostile_processes", drain_seconds=0.5)
    run_id = await house.marked("block_signals", retry=ONCE)
    (deaf,) = await house.began("blocking")

    worker.signal(signal.SIGTERM)
    exit_code = await asyncio.to_thread(worker.wait_ended)

    assert (exit_code, is_alive(int(deaf))) == (0, False)
    assert ((await house.run(run_id)).state, await outcomes(house, run_id)) == ("queued", ["lost"])


async def test_a_handler_that_kills_its_supervisor_is_rescued_and_leaves_no_process(house: House) -> None:
    worker = start_process(house, "hostile_processes")
    run_id = await house.marked("kill_parent_once", retry=ONCE, timeout_seconds=60.0)
    (killer,) = await house.began("tried")
    family = [int(killer), *(each.pid for each in worker.wardens())]

    assert await asyncio.to_thread(worker.wait_ended) == -signal.SIGKILL
    await none_alive(family, "the end of executor and warden")
    await start(house, "hostile_processes")
    await wait_until(house.rescue, 15.0, "the rescue")

    run = await house.ended(run_id)
    assert (run.result, await outcomes(house, run_id)) == (2, ["lost", "succeeded"])
    await as_good_as_new(house)
