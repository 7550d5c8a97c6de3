"""Running attempts inside an executor: async handlers on the loop, others in threads.

Orders arrive on the reader's thread, so that handlers in threads begin, stop and are withdrawn also while an async
handler blocks the loop. Invariants: an order is taken exactly once, either to begin or to be withdrawn; `Begun` is on
the wire before the handler's first instruction; every begun attempt sends exactly one `Ended`.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct, structs

from rota.domain.run import RunError
from rota.domain.targets import Target, TaskTarget
from rota.worker.app import Task
from rota.worker.arguments import Signature, bind_arguments, signature_of
from rota.worker.capture import AttemptOutput, capturing
from rota.worker.context import Context, LoopTime
from rota.worker.outlet import Outlet
from rota.worker.protocol import AttemptEnd, AttemptOrder, Begun, Ended, StopReason, Withdrawn
from rota.worker.verdicts import Verdict, verdict_on_raise, verdict_on_return

HTTP_TASK = "rota.http"


class RunnableTask(Struct, frozen=True):
    """A task whose signature has been looked at."""

    function: Callable[..., Any]
    signature: Signature
    is_async: bool


class RunnerLimits(Struct, frozen=True):
    """`threads` bounds the handlers that run beside the loop at a time."""

    threads: int
    log_lines_max: int
    log_bytes_max: int


class LiveAttempt(Struct, eq=False):
    """An attempt that has begun. `coroutine` is None for handlers in threads."""

    order: AttemptOrder
    context: Context
    output: AttemptOutput
    coroutine: "asyncio.Task[None] | None" = None


class AttemptRunner:
    """`begin`, `stop` and `withdraw` belong to the reader's thread."""

    def __init__(
        self, tasks: Mapping[str, Task], outlet: Outlet, loop: asyncio.AbstractEventLoop, limits: RunnerLimits
    ) -> None:
        self._tasks = {name: _runnable(task) for name, task in tasks.items()}
        self._outlet = outlet
        self._loop = loop
        self._time = LoopTime(loop)
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="rota-task")
        self._lock = threading.Lock()
        self._waiting: dict[int, AttemptOrder] = {}
        self._live: dict[int, LiveAttempt] = {}

    def begin(self, orders: Sequence[AttemptOrder]) -> None:
        with self._lock:
            self._waiting.update((order.key, order) for order in orders)
        on_loop: list[AttemptOrder] = []
        for order in orders:
            if self._runs_in_thread(order.target):
                self._threads.submit(self._run_in_thread, order)
            else:
                on_loop.append(order)
        if on_loop:
            self._loop.call_soon_threadsafe(self._begin_on_loop, on_loop)

    def stop(self, key: int, reason: StopReason) -> None:
        with self._lock:
            live = self._live.get(key)
            dropped = live is None and reason != "soft_timed_out" and self._waiting.pop(key, None) is not None
        if dropped:
            self._outlet.send(Ended((AttemptEnd(key, "cancelled"),)))
        if live is None:
            return
        if reason == "soft_timed_out":
            live.context.soft_timed_out.set()
            return
        live.context.cancelled.set()
        if live.coroutine is not None:
            self._loop.call_soon_threadsafe(live.coroutine.cancel)

    def withdraw(self, keys: Sequence[int]) -> None:
        with self._lock:
            taken = tuple(key for key in keys if self._waiting.pop(key, None) is not None)
        self._outlet.send(Withdrawn(taken))

    def _runs_in_thread(self, target: Target) -> bool:
        task = self._tasks.get(_call_of(target)[0])
        return task is not None and not task.is_async

    def _open(self, order: AttemptOrder) -> LiveAttempt | None:
        """None where the order was withdrawn or stopped: whoever takes it out of `_waiting` decides about it."""
        limits = self._limits
        output = AttemptOutput(self._outlet, order.key, lines_max=limits.log_lines_max, bytes_max=limits.log_bytes_max)
        live = LiveAttempt(order, Context(order, output, self._time), output)
        with self._lock:
            if self._waiting.pop(order.key, None) is None:
                return None
            self._live[order.key] = live
        return live

    def _begin_on_loop(self, orders: Sequence[AttemptOrder]) -> None:
        """One announcement for all of them: none runs before this returns to the loop."""
        opened = [live for order in orders if (live := self._open(order)) is not None]
        if not opened:
            return
        self._outlet.send(Begun(tuple(live.order.key for live in opened)))
        for live in opened:
            # Not by the loop's factory of tasks, which any handler may have changed.
            live.coroutine = asyncio.Task(self._run_on_loop(live), loop=self._loop, name=f"run {live.order.run_id}")
            live.coroutine.add_done_callback(lambda _, live=live: self._close_if_never_run(live))

    async def _run_on_loop(self, live: LiveAttempt) -> None:
        with capturing(live.output):
            try:
                function, call = self._call(live)
                verdict = verdict_on_return(await function(**call))
            except BaseException as raised:
                verdict = self._verdict_on_raise(live, raised)
        self._close(live, verdict)

    def _close_if_never_run(self, live: LiveAttempt) -> None:
        """A coroutine that is cancelled before its first step, by us or by a neighbour, never reaches its own end."""
        if live.order.key in self._live:
            self._close(live, self._verdict_on_raise(live, asyncio.CancelledError()))

    def _run_in_thread(self, order: AttemptOrder) -> None:
        live = self._open(order)
        if live is None:
            return
        self._outlet.send(Begun((order.key,)))
        with capturing(live.output):
            try:
                function, call = self._call(live)
                verdict = verdict_on_return(function(**call))
            except BaseException as raised:
                verdict = self._verdict_on_raise(live, raised)
        self._close(live, verdict)

    def _call(self, live: LiveAttempt) -> tuple[Callable[..., Any], dict[str, Any]]:
        live.context.check_cancelled()
        name, args = _call_of(live.order.target)
        task = self._tasks.get(name)
        if task is None:
            raise UnknownTask(f"this worker knows no task {name!r}; it knows: {', '.join(sorted(self._tasks))}")
        return task.function, bind_arguments(task.signature, args, live.context)

    def _verdict_on_raise(self, live: LiveAttempt, raised: BaseException) -> Verdict:
        if issubclass(type(raised), asyncio.CancelledError) and not live.context.cancelled.is_set():
            message = "the handler was cancelled from within, by its own code or a library's"
            return Verdict("failed", error=RunError(message, type="CancelledError"))
        return verdict_on_raise(raised)

    def _close(self, live: LiveAttempt, verdict: Verdict) -> None:
        del self._live[live.order.key]
        self._outlet.send(Ended((AttemptEnd(live.order.key, verdict.outcome, verdict.result_json, verdict.error),)))


class UnknownTask(Exception):
    """The run names a task that this worker does not have; another worker of its queue may."""


def _runnable(task: Task) -> RunnableTask:
    return RunnableTask(task.function, signature_of(task.function), inspect.iscoroutinefunction(task.function))


def _call_of(target: Target) -> tuple[str, dict[str, Any]]:
    """Every target is a task with arguments: an HTTP target is the built-in one."""
    if isinstance(target, TaskTarget):
        return target.task, target.args
    return HTTP_TASK, structs.asdict(target)
