"""Handlers that block, hang, crash, fork or do not listen, and workers that are frozen or killed."""

import asyncio
import os
import signal

import psutil
import pytest

from rota.domain.policies import RetryPolicy
from tests.integration.worker.conftest import ACME, AT_ONCE, AUDIT, House, is_alive
from tests.support.waiting import wait_until

ONCE = RetryPolicy(attempts_max=1)


async def test_a_handler_that_blocks_the_loop_does_not_cost_the_lease(house: House) -> None:
    await house.start()
    blocking = await house.marked("block_loop", args={"seconds": 5.0})
    await house.began()
    (before,) = await house.workers.list_recent(10)

    run = await house.ended(blocking, 20)

    (after,) = await house.workers.list_recent(10)
    assert (run.state, run.attempts_count) == ("succeeded", 1)
    assert (after.id, after.state) == (before.id, "active")
    assert (after.heartbeat_at - before.heartbeat_at).total_seconds() > 3.5


async def test_threads_of_an_executor_go_on_while_its_loop_is_blocked(house: House) -> None:
    await house.start()
    blocking = await house.marked("block_loop", args={"seconds": 5.0})
    await house.began()

    run = await house.ended(await house.one("noop_thread"), 4)

    assert run.state == "succeeded"
    assert (await house.run(blocking)).state == "running"


async def test_what_has_ended_is_told_while_a_neighbour_that_came_with_it_blocks_the_loop(house: House) -> None:
    quick = await house.one("noop")
    blocking = await house.marked("block_loop", args={"seconds": 5.0})
    await house.start(executors=1)
    await house.began()
    assert (await house.ended(quick)).state == "succeeded"
    assert (await house.run(blocking)).state == "running"


async def test_what_a_blocked_loop_does_not_begin_is_begun_by_another_executor(house: House) -> None:
    await house.start(begin_seconds_max=0.5, retire_seconds_max=60.0)
    blocking = await house.marked("block_loop", args={"seconds": 8.0})
    await house.began()

    run = await house.ended(await house.one("noop"), 6)

    assert (run.state, run.attempts_count) == ("succeeded", 1)
    assert (await house.run(blocking)).state == "running"
    assert (await house.ended(blocking, 15)).state == "succeeded"


async def test_a_handler_that_holds_the_interpreter_does_not_cost_the_lease(house: House) -> None:
    await house.start()
    holding = await house.marked("hold_gil", args={"size": 300_000_000})
    await house.began()
    (before,) = await house.workers.list_recent(10)

    run = await house.ended(holding, 60)

    (after,) = await house.workers.list_recent(10)
    assert (run.state, run.attempts_count) == ("succeeded", 1)
    assert (after.id, after.state) == (before.id, "active")


@pytest.mark.parametrize("task", ["hang_async", "hang_thread", "ignore_cancellation", "ignore_cancellation_async"])
async def test_a_hard_time_out_is_settled_on_time_whatever_the_handler_does(house: House, task: str) -> None:
    await house.start()
    run_id = await house.marked(task, timeout_seconds=0.5, retry=ONCE)

    run = await house.ended(run_id, 10)
    (attempt,) = await house.attempts(run_id)

    assert run.state == "failed"
    assert attempt.outcome == "timed_out"
    assert attempt.finished_at is not None
    assert (attempt.finished_at - attempt.started_at).total_seconds() < 1.5


async def test_an_executor_with_an_overdue_handler_is_replaced(house: House) -> None:
    await house.start()
    run_id = await house.marked("ignore_cancellation", timeout_seconds=0.3, retry=ONCE)
    (overdue,) = await house.began()
    await house.ended(run_id)

    await wait_until(lambda: not is_alive(int(overdue)), 10, "the end of the overdue handler's process")

    assert (await house.ended(await house.one("noop"))).state == "succeeded"


@pytest.mark.parametrize(
    "task", ["hang_async", "hang_thread", "ignore_cancellation", "ignore_cancellation_async", "own_process"]
)
async def test_cancellation_reaches_a_running_task_within_two_seconds(house: House, task: str) -> None:
    await house.start()
    args = {"hang": True} if task == "own_process" else {}
    run_id = await house.marked(task, args=args, timeout_seconds=60.0)
    await house.began()

    await house.cancel(run_id)
    run = await house.ended(run_id)

    assert run.state == "cancelled"
    assert run.finished_at is not None
    assert run.cancel_requested_at is None or (run.finished_at - run.cancel_requested_at).total_seconds() < 2.0


async def test_a_cancellation_without_a_wake_up_comes_with_the_next_renewal(house: House) -> None:
    await house.start()
    run_id = await house.marked("hang_async")
    await house.began()
    began_at = asyncio.get_running_loop().time()

    await house.control.cancel_if_live(ACME, run_id, AUDIT)
    await house.ended(run_id)

    assert asyncio.get_running_loop().time() - began_at < 2.0


async def test_a_handler_that_ends_its_process_is_lost_a_bounded_number_of_times(house: House) -> None:
    await house.start()
    run_id = await house.marked("exit_process", retry=ONCE)

    run = await house.ended(run_id, 30)

    attempts = await house.attempts(run_id)
    assert run.state == "failed"
    assert [attempt.outcome for attempt in attempts] == ["lost"] * 3
    assert attempts[0].error is not None
    assert attempts[0].error.message == "its process ended: exit code 3"


async def test_handlers_that_crash_again_and_again_do_not_fail_their_neighbours(house: House) -> None:
    await house.start()
    innocent = await house.marked("until_told", retry=ONCE)
    await house.began("innocent_began")
    for _ in range(3):
        crasher = await house.marked("exit_process", retry=ONCE)
        assert (await house.ended(crasher, 30)).reason == "lost with its worker 3 times; at most 3"

    (house.marks / "told").touch()
    run = await house.ended(innocent, 20)

    assert run.state == "succeeded"
    assert len(await house.attempts(innocent)) in {2, 3}


async def test_a_killed_executor_costs_its_runs_an_attempt_and_no_more(house: House) -> None:
    await house.start()
    killing = await house.marked("kill_self_once", retry=AT_ONCE)

    run = await house.ended(killing, 20)

    first, *_ = await house.attempts(killing)
    assert (run.state, run.result) == ("succeeded", 2)
    assert first.outcome == "lost"
    assert first.error is not None
    assert first.error.message == "its process ended: killed by SIGKILL"


async def test_a_handler_that_forks_ends_once(house: House) -> None:
    await house.start()
    run_id = await house.marked("fork")

    run = await house.ended(run_id)
    after = await house.ended(await house.one("noop"))

    assert (run.result, run.attempts_count) == ("parent", 1)
    assert house.lines_of("parent") != []
    assert after.state == "succeeded"


async def test_a_process_task_runs_in_a_process_of_its_own(house: House) -> None:
    await house.start()

    first = await house.ended(await house.marked("own_process"))
    second = await house.ended(await house.marked("own_process"))

    assert first.result != second.result
    await wait_until(lambda: not any(is_alive(int(str(pid))) for pid in (first.result, second.result)))


async def test_a_process_task_is_killed_at_its_time_out_without_harm_to_others(house: House) -> None:
    await house.start()
    other = await house.marked("hang_async")
    await house.began()
    run_id = await house.marked("own_process", args={"hang": True}, timeout_seconds=3.0, retry=ONCE)
    _, own = await house.began(count=2)

    run = await house.ended(run_id)

    await wait_until(lambda: not is_alive(int(own)))
    assert run.state == "failed"
    assert (await house.run(other)).state == "running"


async def test_sigterm_lets_finish_what_has_begun_and_claims_no_more(house: House) -> None:
    worker = house.start_process(slots=1)
    finishing = await house.marked("block_loop", args={"seconds": 1.0})
    await house.began()

    worker.signal(signal.SIGTERM)
    await wait_until(lambda: _state_of_the_worker(house, "draining"))
    left = await house.one("noop")
    exit_code = await asyncio.to_thread(worker.wait_ended)

    assert exit_code == 0
    assert (await house.run(finishing)).state == "succeeded"
    assert (await house.run(left)).state == "queued"
    assert await _state_of_the_worker(house, "stopped")


async def _state_of_the_worker(house: House, state: str) -> bool:
    return [worker.state for worker in await house.workers.list_recent(10)] == [state]


async def test_what_a_drain_cannot_wait_for_goes_back_to_the_queue(house: House) -> None:
    worker = house.start_process(drain_seconds=0.5)
    run_id = await house.marked("ignore_cancellation", retry=ONCE)
    (handler,) = await house.began()

    worker.signal(signal.SIGTERM)
    await asyncio.to_thread(worker.wait_ended)

    (attempt,) = await house.attempts(run_id)
    assert (await house.run(run_id)).state == "queued"
    assert attempt.outcome == "lost"
    assert not is_alive(int(handler))


async def test_a_frozen_supervisor_keeps_no_handler_running_past_its_lease(house: House) -> None:
    worker = house.start_process()
    run_id = await house.marked("ignore_cancellation")
    (handler,) = await house.began()
    (before,) = await house.workers.list_recent(10)

    worker.signal(signal.SIGSTOP)
    await wait_until(lambda: not is_alive(int(handler)), 6, "the warden's kill")

    (frozen,) = await house.workers.list_recent(10)
    assert frozen.id == before.id
    assert frozen.lease_expires_at == (await house.workers.list_recent(10))[0].lease_expires_at
    assert (await house.run(run_id)).state == "running"


async def test_a_thawed_supervisor_has_its_completions_refused_and_begins_anew(house: House) -> None:
    worker = house.start_process()
    run_id = await house.marked("ignore_cancellation")
    await house.began()
    (before,) = await house.workers.list_recent(10)

    worker.signal(signal.SIGSTOP)
    await wait_until(house.rescue, 10, "the rescue")
    rescued = await house.run(run_id)
    worker.signal(signal.SIGCONT)
    await house.began(count=2)
    # Its lease may have ended between that rescue's two looks: at the workers first, then at what they hold.
    await house.rescue()

    assert (rescued.state, rescued.attempts_count) == ("queued", 1)
    states = {each.id: each.state for each in await house.workers.list_recent(10)}
    assert states.pop(before.id) == "lost"
    assert list(states.values()) == ["active"]
    again = await house.run(run_id)
    assert (again.state, again.attempts_count) == ("running", 2)
    assert again.worker_id != before.id


async def test_a_killed_supervisor_takes_its_executors_and_commands_along(house: House) -> None:
    worker = house.start_process(allow_exec=True)
    script = f"sleep 1000 & echo $$ > {house.marks}/command; echo begun; wait"
    command = await house.one("rota.exec", args={"command": script})
    await house.marked("ignore_cancellation")
    (handler,) = await house.began()
    (shell,) = await house.began("command")
    # An executor tells of a command before it tells of its output: once a line is stored, the warden knows the command.
    await wait_until(lambda: house.lines(command), what="the command's first line")
    sleepers = psutil.Process(int(shell)).children()

    worker.signal(signal.SIGKILL)

    assert sleepers
    victims = [int(handler), int(shell), *(each.pid for each in sleepers)]
    await wait_until(lambda: not any(is_alive(pid) for pid in victims), 5, "the end of everything below it")
    assert (await house.run(command)).state == "running"


async def test_a_killed_warden_is_replaced(house: House) -> None:
    worker = house.start_process()
    await house.ended(await house.one("noop"))
    (first,) = worker.wardens()

    os.kill(first.pid, signal.SIGKILL)

    (second,) = await wait_until(lambda: [each for each in worker.wardens() if each.pid != first.pid], 10) or []
    assert second.pid != first.pid
    assert (await house.ended(await house.one("noop"))).state == "succeeded"


async def test_what_a_handler_has_started_ends_with_its_executor(house: House) -> None:
    await house.start()
    run_id = await house.marked("starts_child", timeout_seconds=1.0, retry=ONCE)
    (child,) = await house.began("child")

    await house.ended(run_id)

    await wait_until(lambda: not is_alive(int(child)), 10, "the end of the handler's child")


async def test_the_last_line_before_a_crash_is_kept(house: House) -> None:
    await house.start()
    run_id = await house.one("last_words", retry=ONCE)

    await house.ended(run_id, 30)

    assert [line.text for line in await house.lines(run_id)] == ["about to crash"] * 3
