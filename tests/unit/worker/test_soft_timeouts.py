import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

import pytest

from rota import App, SoftTimeout
from rota.domain.errors import DomainError
from rota.worker.soft_timeouts import InterruptibleCoroutine, InterruptibleThread, as_cancellation
from tests.support.waiting import wait_until


class Waiting:
    """A handler that waits until it is told, and then goes on."""

    def __init__(self) -> None:
        self.began, self.ends = asyncio.Event(), asyncio.Event()
        self.was_told = False
        self.running = InterruptibleCoroutine(self._handle())

    async def _handle(self) -> str:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except SoftTimeout:
            self.was_told = True
        await self.ends.wait()
        return "ended"

    async def outcome(self) -> tuple[str, int]:
        """What it returned, and how often its task is being cancelled by then."""
        value, task = await self.running, asyncio.current_task()
        assert task is not None
        return value, task.cancelling()


async def test_a_coroutine_is_told_where_it_waits_and_goes_on_uncancelled() -> None:
    waiting = Waiting()
    task = asyncio.ensure_future(waiting.outcome())
    await waiting.began.wait()
    waiting.running.interrupt(SoftTimeout())
    waiting.ends.set()
    assert (await task, waiting.was_told) == (("ended", 0), True)
    waiting.running.interrupt(SoftTimeout())
    assert task.result() == ("ended", 0)


async def test_a_cancellation_goes_before_a_soft_time_out() -> None:
    waiting = Waiting()
    task = asyncio.ensure_future(waiting.outcome())
    await waiting.began.wait()
    waiting.running.interrupt(SoftTimeout())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not waiting.was_told


async def test_a_handler_that_has_not_begun_is_not_told() -> None:
    waiting = Waiting()
    waiting.running.interrupt(SoftTimeout())
    task = asyncio.ensure_future(waiting.outcome())
    await waiting.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not waiting.was_told


async def grouped(until: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(until.wait())


async def awaited_for_long(until: asyncio.Event) -> None:
    await asyncio.wait_for(until.wait(), 3_600.0)


async def gathered(until: asyncio.Event) -> None:
    await asyncio.gather(until.wait(), until.wait())


async def driven(running: InterruptibleCoroutine) -> object:
    """What the handler returned, or raised."""
    try:
        return await running
    except SoftTimeout as raised:
        return raised


async def told_while_its_tasks_wait(coroutine: Coroutine[Any, Any, object]) -> object:
    """None of its tasks is left when it has ended."""
    before = asyncio.all_tasks()
    running = InterruptibleCoroutine(coroutine)
    task = asyncio.ensure_future(driven(running))
    await wait_until(lambda: bool(asyncio.all_tasks() - before - {task}), 15.0, "its tasks")
    running.interrupt(SoftTimeout("enough"))
    outcome = await task
    assert asyncio.all_tasks() == before
    return outcome


@pytest.mark.parametrize("waits", [grouped, awaited_for_long, gathered])
async def test_no_task_of_a_handler_outlives_its_soft_time_out(
    waits: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
) -> None:
    raised = await told_while_its_tasks_wait(waits(asyncio.Event()))
    assert type(raised) is SoftTimeout
    assert raised.args == ("enough",)


async def test_a_handler_may_catch_it_outside_the_group_that_it_has_left() -> None:
    async def handle() -> str:
        try:
            await grouped(asyncio.Event())
        except SoftTimeout:
            return "saved"
        return "not told"

    assert await told_while_its_tasks_wait(handle()) == "saved"


@pytest.mark.parametrize("kind", [SoftTimeout, TimeoutError, KeyError])
def test_it_is_of_its_own_type_and_a_cancellation(kind: type[Exception]) -> None:
    told = as_cancellation(kind("enough"))
    assert isinstance(told, kind)
    assert isinstance(told, asyncio.CancelledError)
    assert (type(told).__name__, told.args) == (kind.__name__, ("enough",))


def test_a_type_that_admits_none_beneath_it_stays_what_it_is() -> None:
    class Final(Exception):
        def __init_subclass__(cls) -> None:
            raise TypeError("no")

    error = Final()
    assert as_cancellation(error) is error


@pytest.fixture
def brisk_threads() -> Generator[None]:
    """So that threads take turns often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def interrupting(block: InterruptibleThread) -> tuple[threading.Thread, threading.Event]:
    """Another thread, which interrupts the block as soon as it is told that it has begun."""
    begun = threading.Event()

    def interrupt() -> None:
        begun.wait()
        block.interrupt(SoftTimeout)

    return threading.Thread(target=interrupt), begun


def spin_until_told(block: InterruptibleThread, begun: threading.Event) -> None:
    with block:
        begun.set()
        while True:
            pass


@pytest.mark.timeout(30)
def test_a_thread_is_told_within_its_block() -> None:
    block = InterruptibleThread()
    other, begun = interrupting(block)
    other.start()
    with pytest.raises(SoftTimeout):
        spin_until_told(block, begun)
    other.join()


@pytest.mark.usefixtures("brisk_threads")
def test_a_thread_is_never_told_behind_its_block() -> None:
    """Many times, with the interruption as close to the end of the block as it gets."""
    outside: list[BaseException] = []
    for spins in range(300):
        block = InterruptibleThread()
        other, begun = interrupting(block)
        other.start()
        with suppress(SoftTimeout), block:
            begun.set()
            for _ in range(spins * 20):
                pass
        try:
            other.join()
            for _ in range(1_000):
                pass
        except SoftTimeout as late:
            outside.append(late)
    assert outside == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"soft_timeout_seconds": 0}, "soft_timeout_seconds"),
        ({"soft_timeout_seconds": 9, "timeout_seconds": 9}, "soft_timeout_seconds"),
    ],
)
def test_a_soft_time_out_that_could_never_pass_is_refused(fields: dict[str, float], field: str) -> None:
    def report() -> None: ...

    with pytest.raises(DomainError) as refused:
        App().task(name="report", **fields)(report)  # pyright: ignore[reportArgumentType]
    assert [problem.field for problem in refused.value.problems] == [field]
