"""The task SDK: an `App` is a named set of tasks, and the schedules that its code declares for them.

Importing a module of tasks does nothing but declare. The decorated function stays what it was, so it can be called and
tested as before. Schedules are data here (`App.schedules`): applying them to a tenant goes through the API.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from msgspec import Struct

from rota.core.field_rules import TASK_RULE
from rota.domain.errors import DomainError, invalid_input
from rota.domain.policies import Misfire, Overlap, Policies, RetryPolicy
from rota.domain.problems import FieldProblem
from rota.domain.schedule import ScheduleDraft
from rota.domain.targets import TaskTarget
from rota.domain.triggers import CronTrigger, IntervalTrigger, Trigger
from rota.worker.protocol import TaskKind

Function = TypeVar("Function", bound=Callable[..., Any])

RESERVED_PREFIX = "rota."


class Task(Struct, frozen=True):
    """A function by its registered name. `timeout_seconds` is an upper bound on whatever the run's policy allows.

    `retry` stands in for the retry policy of runs that have none of their own. `soft_timeout_seconds` is such a bound,
    too; at the soft time-out `soft_timeout_error` is raised in the function, or only the context's flag set.
    """

    name: str
    function: Callable[..., Any]
    kind: TaskKind
    queue: str = "default"
    timeout_seconds: float | None = None
    retry: RetryPolicy | None = None
    soft_timeout_seconds: float | None = None
    soft_timeout_error: type[Exception] | None = None


class App:
    """A registry of tasks. `reserved` is for the tasks that Rota brings along, whose names begin with `rota.`."""

    def __init__(self, name: str = "app", *, reserved: bool = False) -> None:
        self.name = name
        self._reserved = reserved
        self._tasks: dict[str, Task] = {}
        self._schedules: dict[str, ScheduleDraft] = {}

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._tasks

    @property
    def schedules(self) -> tuple[ScheduleDraft, ...]:
        """In the order of their declaration."""
        return tuple(self._schedules.values())

    @overload
    def task(self, function: Function, /) -> Function: ...

    @overload
    def task(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        queue: str = "default",
        timeout_seconds: float | None = None,
        retry: RetryPolicy | None = None,
        process: bool = False,
        soft_timeout_seconds: float | None = None,
        soft_timeout_error: type[Exception] | None = None,
    ) -> Callable[[Function], Function]: ...

    def task(
        self,
        function: Function | None = None,
        /,
        *,
        name: str | None = None,
        queue: str = "default",
        timeout_seconds: float | None = None,
        retry: RetryPolicy | None = None,
        process: bool = False,
        soft_timeout_seconds: float | None = None,
        soft_timeout_error: type[Exception] | None = None,
    ) -> Function | Callable[[Function], Function]:
        """Register a function as `name` (else `module.function`).

        Async functions run on the executor's loop, others in a thread of it; with `process` each attempt has a process
        of its own, which can be killed without harm to any other run. With `soft_timeout_error`, which `SoftTimeout` is
        for, that is raised in the function at its soft time-out: on the loop where it waits, in a thread between two
        of its instructions.
        """

        def register(handler: Function) -> Function:
            known_as = name or f"{handler.__module__}.{handler.__qualname__}".replace(".<locals>", "")
            kind = _kind(handler, process=process)
            soft = soft_timeout_seconds, soft_timeout_error
            self._add(Task(known_as, handler, kind, queue, timeout_seconds, retry, *soft))
            return handler

        return register if function is None else register(function)

    def schedule(
        self,
        *,
        cron: str | None = None,
        every_seconds: float | None = None,
        timezone: str = "UTC",
        name: str | None = None,
        args: Mapping[str, Any] | None = None,
        overlap: Overlap = "skip",
        misfire: Misfire = "fire_once",
    ) -> Callable[[Function], Function]:
        """Declare a schedule for the task below; exactly one of `cron` and `every_seconds` says when.

        Stands above `@app.task`. A function that is not yet a task becomes one with the defaults.
        """
        trigger = _trigger(cron, every_seconds, timezone)

        def declare(handler: Function) -> Function:
            task = self._task_of(handler)
            self._declare(
                ScheduleDraft(
                    name=name or task.name,
                    triggers=(trigger,),
                    target=TaskTarget(task.name, dict(args or {})),
                    policies=_policies(task, overlap, misfire),
                )
            )
            return handler

        return declare

    def find(self, task: str | Callable[..., Any]) -> Task | None:
        """By name, or by the function itself."""
        if isinstance(task, str):
            return self._tasks.get(task)
        return next((known for known in self._tasks.values() if known.function is task), None)

    def _add(self, task: Task) -> None:
        problems = _task_problems(task, reserved=self._reserved)
        if task.name in self._tasks:
            problems.append(
                FieldProblem(
                    "name",
                    f"the task {task.name!r} is registered twice",
                    "Give one of them another name; @app.schedule stands above @app.task, not below.",
                )
            )
        if problems:
            raise invalid_input(problems)
        self._tasks[task.name] = task

    def _task_of(self, handler: Callable[..., Any]) -> Task:
        found = self.find(handler)
        if found is None:
            self.task(handler)
            found = self.find(handler)
        assert found is not None
        return found

    def _declare(self, draft: ScheduleDraft) -> None:
        if draft.name in self._schedules:
            raise _refused("name", f"the schedule {draft.name!r} is declared twice", "Give one of them a `name`.")
        self._schedules[draft.name] = draft


def _kind(handler: Callable[..., Any], *, process: bool) -> TaskKind:
    if process:
        return "process"
    return "async" if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler) else "thread"


def _task_problems(task: Task, *, reserved: bool) -> list[FieldProblem]:
    problems: list[FieldProblem] = []
    if len(task.name) > TASK_RULE.length_max or not TASK_RULE.pattern.fullmatch(task.name):
        remedy = (
            f"Give `name=`: up to {TASK_RULE.length_max} letters, digits and _, the first no digit; "
            "one of . : - may stand between two of them."
        )
        problems.append(FieldProblem("name", f"{task.name!r} cannot be the name of a task", remedy))
    if task.name.startswith(RESERVED_PREFIX) and not reserved:
        remedy = f"Choose a name that does not begin with {RESERVED_PREFIX!r}."
        problems.append(FieldProblem("name", f"{task.name!r} is reserved for built-in tasks", remedy))
    if task.timeout_seconds is not None and not task.timeout_seconds > 0:
        problem = f"{task.timeout_seconds:g} is not a time that a task can end in"
        problems.append(FieldProblem("timeout_seconds", problem, "Give a number above 0, or leave it out."))
    return [*problems, *_soft_problems(task)]


def _soft_problems(task: Task) -> Iterator[FieldProblem]:
    soft, hard = task.soft_timeout_seconds, task.timeout_seconds
    if soft is not None and not soft > 0:
        problem = f"{soft:g} is not a time that a task can end in"
        yield FieldProblem("soft_timeout_seconds", problem, "Give a number above 0, or leave it out.")
    elif soft is not None and hard is not None and soft >= hard:
        problem = f"{soft:g} is not before the hard time-out of {hard:g} s"
        yield FieldProblem("soft_timeout_seconds", problem, "Give less, or a later `timeout_seconds`.")
    if task.soft_timeout_error is not None and inspect.isasyncgenfunction(task.function):
        problem = "a resolver that yields asynchronously cannot be told"
        yield FieldProblem("soft_timeout_error", problem, "Leave it out, or return the items.")


def _trigger(cron: str | None, every_seconds: float | None, timezone: str) -> Trigger:
    if (cron is None) == (every_seconds is None):
        raise _refused("cron", "a schedule needs exactly one of `cron` and `every_seconds`", "Give one of the two.")
    if cron is not None:
        return CronTrigger(expression=cron, timezone=timezone)
    assert every_seconds is not None
    if not every_seconds > 0:
        raise _refused("every_seconds", f"{every_seconds:g} is not an interval", "Give a number of seconds above 0.")
    return IntervalTrigger(every_seconds=every_seconds)


def _policies(task: Task, overlap: Overlap, misfire: Misfire) -> Policies:
    defaults = Policies()
    return Policies(
        overlap=overlap,
        misfire=misfire,
        queue=task.queue,
        timeout_seconds=task.timeout_seconds or defaults.timeout_seconds,
        retry=task.retry or defaults.retry,
    )


def _refused(field: str, problem: str, remedy: str) -> DomainError:
    return invalid_input([FieldProblem(field, problem, remedy)])


def merged_tasks(apps: Sequence[App]) -> dict[str, Task]:
    """The tasks of several apps as one catalogue; built-in names cannot collide with a user's."""
    return {name: task for app in apps for name, task in app.tasks.items()}
