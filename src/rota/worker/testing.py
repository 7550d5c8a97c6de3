"""Running a task in a test: in this process, without a worker, with a context of the test's making, a settable clock.

    outcome = await run_task(app, report, {"day": "2026-03-01"}, fake_context(fire_at=noon))
    assert outcome.value == {...}
    assert "done" in outcome.lines

Arguments, results and exceptions go through the very code that a worker uses, so what passes here is what is stored.
"""

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from rota.domain.errors import invalid_input
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.problems import FieldProblem
from rota.domain.run import AttemptOutcome, RunError
from rota.domain.targets import TaskTarget
from rota.worker.app import App
from rota.worker.arguments import bind_arguments, signature_of
from rota.worker.context import Context, ContextTime
from rota.worker.protocol import AttemptOrder
from rota.worker.verdicts import Verdict, verdict_on_raise, verdict_on_return


class SettableClock:
    """Seconds that pass when the test says so, or when the task sleeps, which it does in no time."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def monotonic_seconds(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

    def advance(self, seconds: float) -> None:
        self.now += seconds


class RecordedLines:
    """Takes the place of the worker: keeps what the task says. `groups` are the process groups that are alive."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.groups: set[int] = set()

    def line(self, stream: str, text: str) -> None:
        del stream
        self.lines.append(text)

    def group_started(self, group_id: int) -> None:
        self.groups.add(group_id)

    def group_ended(self, group_id: int) -> None:
        self.groups.discard(group_id)


class TaskOutcome(Struct, frozen=True):
    """How the attempt ended. `value` is the result as readers will see it, after JSON; `error` is None on success."""

    outcome: AttemptOutcome
    value: Any
    error: RunError | None
    lines: tuple[str, ...]


def fake_context(
    *,
    tenant_id: str = "test",
    run_id: str = "00000000-0000-7000-8000-000000000001",
    attempt_no: int = 1,
    schedule_id: str | None = None,
    fire_at: datetime | None = None,
    timeout_seconds: float = 60.0,
    clock: ContextTime | None = None,
    lines: RecordedLines | None = None,
) -> Context:
    """A context that belongs to no worker. Set `cancelled` or `soft_timed_out` to see what the task does about it."""
    order = AttemptOrder(
        key=1,
        run_id=RunId(run_id),
        tenant_id=TenantId(tenant_id),
        attempt_no=attempt_no,
        target=TaskTarget("test"),
        timeout_seconds=timeout_seconds,
        schedule_id=None if schedule_id is None else ScheduleId(schedule_id),
        fire_at=fire_at,
    )
    return Context(order, lines or RecordedLines(), clock or SettableClock())


async def run_task(
    app: App, task: str | Callable[..., Any], args: Mapping[str, Any] | None = None, context: Context | None = None
) -> TaskOutcome:
    """One attempt of a task of `app`, by its name or its function. What the task raises is in the outcome."""
    found = app.find(task)
    if found is None:
        known = ", ".join(sorted(app.tasks)) or "none"
        raise invalid_input([FieldProblem("task", f"the app has no task {task!r}", f"Name one that it has: {known}.")])
    ctx = context or fake_context()
    verdict = await _attempt(found.function, args or {}, ctx)
    value = None if verdict.result_json is None else msgspec.json.decode(verdict.result_json)
    lines = tuple(ctx.link.lines) if isinstance(ctx.link, RecordedLines) else ()
    return TaskOutcome(verdict.outcome, value, verdict.error, lines)


async def _attempt(function: Callable[..., Any], args: Mapping[str, Any], ctx: Context) -> Verdict:
    try:
        value = function(**bind_arguments(signature_of(function), args, ctx))
        return verdict_on_return(await value if inspect.isawaitable(value) else value)
    except Exception as raised:
        return verdict_on_raise(raised)
