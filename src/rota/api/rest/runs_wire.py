"""Runs on the wire. A run is asked for by `task` and `args`, or by a whole `target`."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import asdict, replace

from rota.api.rest.page_wire import PageQuery
from rota.core.validation import refuse_far_times
from rota.domain.dependencies import DependencyRule, Upstream
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import ScheduleId
from rota.domain.policies import RunPolicy
from rota.domain.problems import FieldProblem
from rota.domain.run import Enqueued, FailureClass, Run, RunDraft, RunState
from rota.domain.targets import Target, TaskTarget
from rota.domain.uniqueness import Unique
from rota.ports.run_store import RunFilter
from rota.services.acting import Actor

UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

RunView: TypeAlias = Run


class RunDetail(Run, frozen=True):
    """A run with why it waits, while it does: the most important reason first. Lists do not tell it."""

    waits_for: tuple[str, ...] = ()


class RunRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run to be enqueued. `idempotency_key` may stand in the header Idempotency-Key instead."""

    task: str | None = None
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    target: Target | None = None
    queue: str = "default"
    priority: int = 0
    delay_seconds: float = 0.0
    due_at: datetime | None = None
    idempotency_key: str | None = None
    unique: Unique | None = None
    name: str | None = None
    depends_on: tuple[Upstream, ...] = ()
    when: DependencyRule = "all_succeeded"
    policy: RunPolicy = field(default_factory=RunPolicy)


class RunsEnqueued(Struct, frozen=True):
    """In the order of the request; `created` is false where a key was known."""

    items: tuple[Enqueued, ...]
    created_count: int


class RunQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All given conditions must hold; newest first. Ids hold the time of creation, and know no year before 1970."""

    schedule_id: Annotated[str, Meta(pattern=UUID_PATTERN)] | None = None
    state: RunState | None = None
    task: Annotated[str, Meta(max_length=200)] | None = None
    queue: Annotated[str, Meta(max_length=200)] | None = None
    created_after: Annotated[datetime, Meta(tz=True)] | None = None
    created_before: Annotated[datetime, Meta(tz=True)] | None = None
    failure_class: FailureClass | None = None
    dead_lettered: bool | None = None

    def filter(self) -> RunFilter:
        refuse_far_times(created_after=self.created_after, created_before=self.created_before)
        schedule_id = None if self.schedule_id is None else ScheduleId(self.schedule_id)
        times = (self.created_after, self.created_before)
        return RunFilter(schedule_id, self.state, self.task, self.queue, *times, self.failure_class, self.dead_lettered)


def run_view(run: Run) -> RunView:
    """A run is shown as it is kept."""
    return run


def run_detail(run: Run, waits_for: tuple[str, ...]) -> RunDetail:
    return RunDetail(**asdict(run), waits_for=waits_for)


def draft_of(request: RunRequest, actor: Actor) -> RunDraft:
    """Raises INVALID_INPUT unless exactly one of `task` and `target` is given."""
    return RunDraft(
        tenant_id=actor.tenant_id,
        target=_target(request),
        policy=request.policy,
        queue=request.queue,
        priority=request.priority,
        delay_seconds=request.delay_seconds,
        due_at=request.due_at,
        unique=request.unique,
        name=request.name,
        depends_on=request.depends_on,
        when=request.when,
        idempotency_key=request.idempotency_key,
        created_by=actor.label,
    )


def _target(request: RunRequest) -> Target:
    if request.target is None and request.task is not None:
        return TaskTarget(request.task, request.args)
    if request.target is None:
        raise invalid_input([FieldProblem("task", "is missing", "name a task, or give a target")])
    if request.task is not None or request.args:
        given = "task" if request.task is not None else "args"
        raise invalid_input([FieldProblem(given, "stands beside target", "give either task and args, or target")])
    return request.target


def with_header_key(request: RunRequest, key: str | None) -> RunRequest:
    """The key may stand in the header or in the body; where it stands in both, it must be the same."""
    if key is None:
        return request
    if request.idempotency_key not in (None, key):
        problem = "differs from the header Idempotency-Key"
        raise invalid_input([FieldProblem("idempotency_key", problem, "send the key once")])
    return replace(request, idempotency_key=key)


def in_the_callers_words(refused: DomainError) -> DomainError:
    """Problems of a task target, named as the caller wrote them: `args`, not `target.args`."""
    problems = [_renamed(problem) for problem in refused.problems]
    if refused.code == "INVALID_INPUT":
        return invalid_input(problems)
    return DomainError(refused.code, refused.detail, problems)


def _renamed(problem: FieldProblem) -> FieldProblem:
    place, _, rest = problem.field.rpartition("target.")
    if not rest.startswith(("task", "args")):
        return problem
    return FieldProblem(place + rest, problem.problem, problem.remedy)


RUN_EXAMPLE = {
    "task": "reports.nightly",
    "args": {"days": 7},
    "queue": "default",
    "idempotency_key": "report-2026-03-29",
    "delay_seconds": 60,
}
