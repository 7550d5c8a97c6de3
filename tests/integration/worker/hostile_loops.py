"""Handlers that turn on the event loop they share with others."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from rota import Context
from tests.integration.worker.handlers import mark
from tests.integration.worker.hostile import hostile_app

app = hostile_app("hostile_loops")


class NoPolicy(asyncio.DefaultEventLoopPolicy):
    """Has no loop for anybody."""

    def get_event_loop(self) -> NoReturn:
        raise RuntimeError("no loop")

    new_event_loop = get_event_loop


def no_tasks(_loop: asyncio.AbstractEventLoop, coroutine: Any, **_: object) -> NoReturn:
    coroutine.close()
    raise RuntimeError("no tasks")


def throw(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TimeoutError("the alarm of a handler that is long gone")


def stop_loop() -> None:
    asyncio.get_running_loop().stop()


def close_loop() -> None:
    asyncio.get_running_loop().close()


def exit_from_callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit)


def exit_from_task() -> None:
    async def leave() -> None:
        sys.exit("a task of its own")

    app.leaving = asyncio.get_running_loop().create_task(leave())  # type: ignore[attr-defined]


def interrupt() -> None:
    """As a library does that puts Python's own handler back in its place."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGINT)


def alarm() -> None:
    """A time-out by signal that its handler forgot."""
    signal.signal(signal.SIGALRM, throw)
    signal.setitimer(signal.ITIMER_REAL, 0.05)


def no_policy() -> None:
    asyncio.set_event_loop_policy(NoPolicy())  # pyright: ignore[reportDeprecated]  # that is the point
    asyncio.set_event_loop(None)


def no_handler() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: sys.exit("no handler of exceptions"))
    loop.call_soon(lambda: 1 / 0)


def stop_time() -> None:
    for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "sleep"):
        setattr(time, name, lambda _seconds=0: 0)


def hooks() -> None:
    def leave(*_: object) -> NoReturn:
        os._exit(66)

    sys.excepthook = leave
    sys.settrace(None)
    threading.setprofile(None)


ATTACKS: dict[str, Callable[[], None]] = {
    attack.__name__: attack
    for attack in (
        stop_loop,
        close_loop,
        exit_from_callback,
        exit_from_task,
        interrupt,
        alarm,
        no_policy,
        no_handler,
        stop_time,
        hooks,
    )
}


@app.task(name="attack")
async def attack(kind: str) -> str:
    ATTACKS[kind]()
    return "did its worst"


@app.task(name="cancel_all")
async def cancel_all() -> str:
    """Its neighbours, itself, and whatever else the loop runs for."""
    for task in asyncio.all_tasks():
        task.cancel()
    return "cancelled all"


@app.task(name="neighbour")
async def neighbour(ctx: Context, marks: str) -> str:
    mark(marks, "neighbour")
    await ctx.sleep(0.0)
    return "unharmed"


@app.task(name="refuse_tasks")
async def refuse_tasks() -> None:
    asyncio.get_running_loop().set_task_factory(no_tasks)


@app.task(name="break_loop")
async def break_loop(ctx: Context) -> str:
    """Closes what the loop waits with, the first time, and leaves it to itself."""
    if ctx.attempt_no == 1:
        vars(asyncio.get_running_loop())["_selector"].close()
        await asyncio.Event().wait()
    return "unharmed"
