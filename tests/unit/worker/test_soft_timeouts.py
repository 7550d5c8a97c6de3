import asyncio
import sys
import threading
from collections.abc import Generator

import pytest

from rota import App, SoftTimeout
from rota.domain.errors import DomainError
from rota.worker.soft_timeouts import InterruptibleCoroutine, InterruptibleThread


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


@pytest.fixture
def brisk_threads() -> Generator[None]:
    """So that threads take turns often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("brisk_threads")
def test_a_thread_is_told_within_its_block_and_never_behind_it() -> None:
    """Many times, with the interruption as close to the end of the block as it gets."""
    outside: list[BaseException] = []
    told = 0
    for spins in range(300):
        block, begun = InterruptibleThread(), threading.Event()

        def interrupt(block: InterruptibleThread = block, begun: threading.Event = begun) -> None:
            begun.wait()
            block.interrupt(SoftTimeout)

        other = threading.Thread(target=interrupt)
        other.start()
        try:
            with block:
                begun.set()
                for _ in range(spins * 20):
                    pass
        except SoftTimeout:
            told += 1
        try:
            other.join()
            for _ in range(1_000):
                pass
        except SoftTimeout as late:
            outside.append(late)
    assert outside == []
    assert told > 0


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
