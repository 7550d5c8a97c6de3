"""An executor: the process in which handlers run, started by the supervisor as `python -m rota.worker.executor FD`.

It knows nothing of leases, stores or policies: it begins what it is told to, says how it ended, and dies with its
supervisor (by the kernel's signal on Linux, at the end of the pipe everywhere). It holds nothing that needs closing, so
it may be killed at any time.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from rota.domain.errors import Bug
from rota.worker.app import App, Task, merged_tasks
from rota.worker.app_loading import LoadProblem, load_app
from rota.worker.attempts import AttemptRunner, RunnerLimits
from rota.worker.builtin_tasks import builtin_app
from rota.worker.capture import route_streams
from rota.worker.death_signal import die_with_parent
from rota.worker.outlet import Outlet, end_at_once, warn
from rota.worker.protocol import (
    Begin,
    Hello,
    ItemsKept,
    LoadFailed,
    Ready,
    Stop,
    TaskFacts,
    ToExecutor,
    Withdraw,
    frames_to_executor,
)

RECEIVE_BYTES = 65_536
# So many times may handlers stop the loop, or throw something out of it, in the life of a process.
INTERRUPTIONS_MAX = 1_000
SAMPLES = "rota.worker.samples"

_LEFT = (signal.SIGINT, signal.SIGTERM)
_monotonic = time.monotonic  # noqa: TID251  # the loop's own time, as asyncio reads it


class HandlersLoop(asyncio.SelectorEventLoop):
    """Its time is the machine's, whatever a handler (or a library that freezes time) has put in place of the clock."""

    def time(self) -> float:
        return _monotonic()


def main(arguments: list[str]) -> NoReturn:
    die_with_parent()
    _leave_signals_to_the_supervisor()
    connection = socket.socket(fileno=int(arguments[1]))
    connection.set_inheritable(False)  # what a handler starts must neither hold nor use it
    messages = _received(connection)
    hello = next(messages, None)
    if not isinstance(hello, Hello):
        raise Bug(f"the first word to an executor was {hello!r}")
    outlet = Outlet(connection)
    route_streams()
    try:
        tasks = merged_tasks(_apps(hello))
    except LoadProblem as failed:
        outlet.send(LoadFailed(failed.problem, failed.traceback))
        end_at_once("its app cannot be loaded")
    _serve(hello, tasks, outlet, messages)


def _leave_signals_to_the_supervisor() -> None:
    """Ctrl-C reaches the whole process group, but only the supervisor decides when to stop.

    A handler that does nothing, and not SIG_IGN: what is ignored here would be ignored by every command started here.
    Nor may it stay in what a handler forks: a pool of processes ends its members by SIGTERM, and waits for them.
    """
    for number in _LEFT:
        signal.signal(number, _do_nothing)
    os.register_at_fork(after_in_child=_hear_signals)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The supervisor does it."""


def _hear_signals() -> None:
    for number in _LEFT:
        if signal.getsignal(number) is _do_nothing:
            signal.signal(number, signal.SIG_DFL)


def _apps(hello: Hello) -> list[App]:
    builtin = builtin_app(
        allow_exec=hello.allow_exec,
        allow_exec_for=hello.allow_exec_for,
        allow_targets=hello.allow_targets,
        stop_grace_seconds=hello.stop_grace_seconds,
    )
    named = [SAMPLES] if hello.samples else []
    named += [hello.app] if hello.app is not None and hello.app != SAMPLES else []
    return [builtin, *(load_app(path) for path in named)]


def _received(connection: socket.socket) -> Iterator[ToExecutor]:
    frames = frames_to_executor()
    while data := connection.recv(RECEIVE_BYTES):
        yield from frames.feed(data)


def _serve(hello: Hello, tasks: dict[str, Task], outlet: Outlet, messages: Iterator[ToExecutor]) -> NoReturn:
    """The loop belongs to the handlers; orders are read by a thread."""
    loop = HandlersLoop()
    asyncio.set_event_loop(loop)
    limits = RunnerLimits(hello.threads, hello.log_lines_max, hello.log_bytes_max)
    runner = AttemptRunner(tasks, outlet, loop, limits)
    threading.Thread(target=_obey, args=(runner, messages), name="rota-orders", daemon=True).start()
    outlet.send(Ready(tuple(_facts(task) for task in tasks.values())))
    _run_for_ever(loop)


def _run_for_ever(loop: asyncio.AbstractEventLoop) -> NoReturn:
    """A handler that stops the loop, or throws something out of it (an exit from a callback, an exception from a
    handler of signals), costs its neighbours nothing. A loop that cannot go on ends the process, without the cleaning
    up that would let them fail instead of being lost.
    """
    for _ in range(INTERRUPTIONS_MAX):
        try:
            loop.run_forever()
        except BaseException as thrown:
            warn(f"a handler threw {type(thrown)!r} out of the event loop")
    end_at_once("the event loop cannot go on")


def _obey(runner: AttemptRunner, messages: Iterator[ToExecutor]) -> None:
    """Ends the process with the supervisor's end of the pipe, whatever handlers are doing."""
    try:
        for message in messages:
            _obey_one(runner, message)
    finally:
        os._exit(0)


def _obey_one(runner: AttemptRunner, message: ToExecutor) -> None:
    if isinstance(message, Begin):
        runner.begin(message.orders)
    elif isinstance(message, Stop):
        runner.stop(message.key, message.reason)
    elif isinstance(message, Withdraw):
        runner.withdraw(message.keys)
    elif isinstance(message, ItemsKept):
        runner.desk.answer(message.key, message.problem)
    else:
        raise Bug(f"an executor was told {message!r}")


def _facts(task: Task) -> TaskFacts:
    return TaskFacts(task.name, task.kind, task.timeout_seconds, task.retry, task.soft_timeout_seconds)


if __name__ == "__main__":
    main(sys.argv)
