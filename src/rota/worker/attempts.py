"""Running attempts inside an executor: async handlers on the loop, others in threads.

Orders arrive on the reader's thread, so that handlers in threads begin, stop and are withdrawn also while an async
handler blocks the loop. Invariants: an order is taken exactly once, either to begin or to be withdrawn; `Begun` is on
the wire before the handler's first instruction; every begun attempt tells its end exactly once.

What arrives together begins together, up to a bound: one `Begun` for all, and one `Ended` for those that end in their
first step. What comes behind the bound can be withdrawn while the first ones block the loop. An end is told at once
where what comes next might keep it back: only tasks that have shown to be quick are stepped while ends wait to be told.
"""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct, structs

from rota.core.fan_out import resolver_of
from rota.domain.run import RunError
from rota.domain.targets import (
    CallbackTarget,
    HandedTarget,
    HttpTarget,
    PlanTarget,
    SegmentTarget,
    SignedHttpTarget,
    TaskTarget,
)
from rota.worker.app import Task
from rota.worker.arguments import Signature, bind_arguments, signature_of
from rota.worker.capture import AttemptOutput, capture_from_here, capturing
from rota.worker.context import Context, LoopTime
from rota.worker.outcomes import NonRetryable
from rota.worker.outlet import Outlet
from rota.worker.planning import ItemDesk, hand_over, hand_over_in_thread
from rota.worker.protocol import AttemptEnd, AttemptOrder, Begun, StopReason, Withdrawn
from rota.worker.soft_timeouts import InterruptibleCoroutine, InterruptibleThread
from rota.worker.verdicts import Verdict, verdict_on_raise, verdict_on_return, verdict_on_soft_timeout

HTTP_TASK = "rota.http"
BEGIN_TOGETHER_MAX = 32
# Attempts that begin together and end within this time, all of them, are quick.
QUICK_SECONDS = 0.005


class RunnableTask(Struct, frozen=True):
    """A task whose signature has been looked at."""

    function: Callable[..., Any]
    signature: Signature
    is_async: bool
    soft_timeout_error: type[Exception] | None = None


class RunnerLimits(Struct, frozen=True):
    """`threads` bounds the handlers that run beside the loop at a time."""

    threads: int
    log_lines_max: int
    log_bytes_max: int


class LiveAttempt(Struct, eq=False):
    """An attempt that has begun. `coroutine` is None for handlers in threads; `is_stepped` once it got its turn, and
    `is_suspended` when it did not end in it. `interruptible` is what runs of a handler that may be told in its course.
    """

    order: AttemptOrder
    task: str
    context: Context
    output: AttemptOutput
    coroutine: "asyncio.Task[None] | None" = None
    is_stepped: bool = False
    is_suspended: bool = False
    interruptible: InterruptibleCoroutine | InterruptibleThread | None = None


class AttemptRunner:
    """`begin`, `stop` and `withdraw` belong to the reader's thread."""

    def __init__(
        self, tasks: Mapping[str, Task], outlet: Outlet, loop: asyncio.AbstractEventLoop, limits: RunnerLimits
    ) -> None:
        self._tasks = {name: _runnable(task) for name, task in tasks.items()}
        self.desk = ItemDesk(outlet)
        self._outlet = outlet
        self._loop = loop
        self._time = LoopTime(loop)
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="rota-task")
        self._lock = threading.Lock()
        self._waiting: dict[int, AttemptOrder] = {}
        self._live: dict[int, LiveAttempt] = {}
        self._for_loop: deque[AttemptOrder] = deque()
        self._quick_tasks: set[str] = set()

    def begin(self, orders: Sequence[AttemptOrder]) -> None:
        on_loop, in_threads = list[AttemptOrder](), list[AttemptOrder]()
        for order in orders:
            (in_threads if self._runs_in_thread(order.target) else on_loop).append(order)
        with self._lock:
            self._waiting.update([(order.key, order) for order in orders])
        for order in in_threads:
            self._threads.submit(self._run_in_thread, order)
        if on_loop:
            self._for_loop.extend(on_loop)
            self._loop.call_soon_threadsafe(self._begin_on_loop)

    def stop(self, key: int, reason: StopReason) -> None:
        with self._lock:
            live = self._live.get(key)
            dropped = live is None and reason != "soft_timed_out" and self._waiting.pop(key, None) is not None
        if dropped:
            self._outlet.end(AttemptEnd(key, "cancelled"))
            self._outlet.tell_ends()
        if live is None:
            return
        if reason == "soft_timed_out":
            live.context.soft_timed_out.set()
            self._interrupt(live)
            return
        live.context.cancelled.set()
        self.desk.drop(key)
        if live.coroutine is not None:
            self._loop.call_soon_threadsafe(live.coroutine.cancel)

    def _interrupt(self, live: LiveAttempt) -> None:
        """Tells a handler that wants it so of its soft time-out."""
        task = self._tasks.get(live.task)
        error, running = None if task is None else task.soft_timeout_error, live.interruptible
        if error is None:
            return
        if isinstance(running, InterruptibleThread):
            running.interrupt(error)
        elif running is not None:
            self._loop.call_soon_threadsafe(running.interrupt, error())

    def withdraw(self, keys: Sequence[int]) -> None:
        with self._lock:
            taken = tuple(key for key in keys if self._waiting.pop(key, None) is not None)
        self._outlet.send(Withdrawn(taken))

    def _runs_in_thread(self, target: HandedTarget) -> bool:
        task = self._tasks.get(_task_of(target))
        return task is not None and not task.is_async

    def _open(self, orders: Iterable[AttemptOrder]) -> list[LiveAttempt]:
        """Without those that were withdrawn or stopped: whoever takes an order out of `_waiting` decides about it."""
        outlet, time = self._outlet, self._time
        lines_max, bytes_max = self._limits.log_lines_max, self._limits.log_bytes_max
        opened: list[LiveAttempt] = []
        with self._lock:
            for order in orders:
                if self._waiting.pop(order.key, None) is not None:
                    output = AttemptOutput(outlet, order.key, lines_max=lines_max, bytes_max=bytes_max)
                    task = _task_of(order.target)
                    opened.append(LiveAttempt(order, task, Context(order, output, time), output))
                    self._live[order.key] = opened[-1]
        return opened

    def _begin_on_loop(self) -> None:
        """One announcement for all of them: none runs before this returns to the loop."""
        taken = [self._for_loop.popleft() for _ in range(min(len(self._for_loop), BEGIN_TOGETHER_MAX))]
        opened = self._open(taken)
        if opened:
            self._outlet.send(Begun(tuple([live.order.key for live in opened])))
        for live in opened:
            # Not by the loop's factory of tasks, which any handler may have changed.
            live.coroutine = asyncio.Task(self._run_on_loop(live), loop=self._loop, name=f"run {live.order.run_id}")
        self._loop.call_soon(self._after_first_steps, opened, self._loop.time())

    async def _run_on_loop(self, live: LiveAttempt) -> None:
        live.is_stepped = True
        if live.task not in self._quick_tasks:
            self._outlet.tell_ends()
        capture_from_here(live.output)
        try:
            task, call = self._call(live)
            if task.soft_timeout_error is None:
                value = await task.function(**call)
            else:
                live.interruptible = InterruptibleCoroutine(task.function(**call))
                value = await live.interruptible
            if isinstance(live.order.target, PlanTarget):
                verdict = await hand_over(self.desk, live.order.key, live.context, value)
            else:
                verdict = verdict_on_return(value)
        except BaseException as raised:
            verdict = self._verdict_on_raise(live, raised)
        live.output.finish()
        self._close(live, verdict)
        if live.is_suspended:
            self._outlet.tell_ends()

    def _after_first_steps(self, opened: list[LiveAttempt], began_at: float) -> None:
        """The loop has given each of them its turn since."""
        for live in opened:
            if not live.is_stepped:
                # A coroutine that is cancelled before its first step, by us or by a neighbour, never reaches its end.
                self._close(live, self._verdict_on_raise(live, asyncio.CancelledError()))
        self._judge(opened, self._loop.time() - began_at)
        if self._for_loop:
            self._begin_on_loop()  # and what has ended is told together with what begins
        else:
            self._outlet.tell_ends()

    def _judge(self, opened: list[LiveAttempt], seconds: float) -> None:
        """Which of them are quick. Where one was slow it is not known which, so none is."""
        suspended = [live for live in opened if live.order.key in self._live]
        for live in suspended:
            live.is_suspended = True
        if seconds >= QUICK_SECONDS:
            self._quick_tasks.clear()
        else:
            self._quick_tasks.update([live.task for live in opened])
            self._quick_tasks.difference_update([live.task for live in suspended])

    def _run_in_thread(self, order: AttemptOrder) -> None:
        for live in self._open((order,)):
            self._outlet.send(Begun((order.key,)))
            with capturing(live.output):
                try:
                    task, call = self._call(live)
                    value = self._called(live, task, call)
                    if isinstance(order.target, PlanTarget):
                        verdict = hand_over_in_thread(self.desk, order.key, live.context, value)
                    else:
                        verdict = verdict_on_return(value)
                except BaseException as raised:
                    verdict = self._verdict_on_raise(live, raised)
            self._close(live, verdict)
            self._outlet.tell_ends()

    def _called(self, live: LiveAttempt, task: RunnableTask, call: dict[str, Any]) -> object:
        """What the handler returned; from then on it is told nothing any more."""
        if task.soft_timeout_error is None:
            return task.function(**call)
        returned: list[object] = []
        live.interruptible = InterruptibleThread()
        try:
            with live.interruptible:
                returned.append(task.function(**call))
        except task.soft_timeout_error:
            if not returned:
                raise
        return returned[0]

    def _call(self, live: LiveAttempt) -> tuple[RunnableTask, dict[str, Any]]:
        live.context.check_cancelled()
        name, args = _call_of(live.order.target)
        task = self._tasks.get(name)
        if task is None:
            raise UnknownTask(f"this worker knows no task {name!r}; it knows: {', '.join(sorted(self._tasks))}")
        return task, bind_arguments(task.signature, args, live.context)

    def _verdict_on_raise(self, live: LiveAttempt, raised: BaseException) -> Verdict:
        if issubclass(type(raised), asyncio.CancelledError) and not live.context.cancelled.is_set():
            message = "the handler was cancelled from within, by its own code or a library's"
            return Verdict("failed", error=RunError(message, type="CancelledError"))
        error = None if live.interruptible is None else self._tasks[live.task].soft_timeout_error
        if error is not None and isinstance(raised, error) and live.context.soft_timed_out.is_set():
            return verdict_on_soft_timeout(raised)
        return verdict_on_raise(raised)

    def _close(self, live: LiveAttempt, verdict: Verdict) -> None:
        del self._live[live.order.key]
        self._outlet.end(AttemptEnd(live.order.key, verdict.outcome, verdict.result_json, verdict.error))


class ItemsGone(NonRetryable):
    """A segment's items have been removed with the history of its run."""


class UnknownTask(Exception):
    """The run names a task that this worker does not have; another worker of its queue may."""


def _runnable(task: Task) -> RunnableTask:
    function, signature = task.function, signature_of(task.function)
    if inspect.isasyncgenfunction(function):
        return RunnableTask(_begun_on_the_loop(function), signature, is_async=True)
    return RunnableTask(function, signature, inspect.iscoroutinefunction(function), task.soft_timeout_error)


def _begun_on_the_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """A resolver that yields asynchronously: its generator belongs to the loop on which its context sleeps."""

    async def begin(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return begin


def _task_of(target: HandedTarget) -> str:
    if isinstance(target, TaskTarget):
        return target.task
    return resolver_of(target)[0] if isinstance(target, PlanTarget) else HTTP_TASK


def _call_of(target: HandedTarget) -> tuple[str, dict[str, Any]]:
    """Every target is a task with arguments: an HTTP target is the built-in one."""
    if isinstance(target, TaskTarget):
        return target.task, target.args
    if isinstance(target, CallbackTarget):
        return HTTP_TASK, {**_call_of(target.request)[1], "callback_url": target.callback_url}
    if isinstance(target, SignedHttpTarget):
        return HTTP_TASK, {**_request_of(target.request), "signed": target}
    if isinstance(target, PlanTarget):
        return resolver_of(target)
    if isinstance(target, SegmentTarget):
        raise ItemsGone(f"segment {target.segment_no} of run {target.run_id} is kept no more")
    return HTTP_TASK, _request_of(target)


def _request_of(target: HttpTarget) -> dict[str, Any]:
    fields = structs.asdict(target)
    del fields["fan_out"], fields["callback_timeout_seconds"]
    return fields
