"""What graph jobs and policy jobs are made of: the run that executes one, and its common fields."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from rota.core.job_rules import JobRequest, size_problems
from rota.domain.errors import DomainError, invalid_input
from rota.domain.graph_job import GraphJob
from rota.domain.ids import JobId
from rota.domain.jobs import FOLLOWERS, JOB_LIFECYCLE, RUN_PRIORITIES, Job, JobFamily, JobPriority
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.problems import FieldProblem
from rota.domain.run import RunDraft
from rota.domain.targets import TaskTarget
from rota.ports.ids import Ids
from rota.ports.job_store import GraphJobStore
from rota.ports.run_store import RunControl
from rota.ports.schedule_store import ScheduleStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.run_verbs import CANCEL_TOPIC


class JobParts(Struct, frozen=True):
    """What the verbs on both kinds of jobs need beside their stores."""

    schedules: ScheduleStore
    runs: RunControl
    ids: Ids
    wakeups: Wakeups

    async def now(self) -> datetime:
        """The store's time."""
        return datetime.fromisoformat(await self.schedules.clock())

    async def cancel_run(self, job: Job, actor: Actor) -> None:
        """A running one ends within seconds: its worker is told, and the job follows. Raises STATE_CONFLICT."""
        if job.run_id is not None:
            await self.runs.cancel_if_live(job.tenant_id, job.run_id, actor.audit("cancel", "run", job.run_id))
            self.wakeups.announce(CANCEL_TOPIC)


JOB_POLICY = RunPolicy(timeout_seconds=600.0, retry=RetryPolicy(base_seconds=5.0, attempts_max=5))


def run_draft(job: Job, task: str, family: JobFamily, actor: Actor) -> RunDraft:
    """The run that executes the job. It names the job; the worker is handed the documents with its claim."""
    return RunDraft(
        tenant_id=job.tenant_id,
        target=TaskTarget(task, {"job_id": job.id}),
        policy=JOB_POLICY,
        queue=job.queue,
        priority=RUN_PRIORITIES[job.priority],
        reason=f"executes {family} job {job.id}",
        created_by=actor.label,
        followers=(FOLLOWERS[family],),
    )


def common_fields(request: JobRequest, priority: JobPriority) -> dict[str, Any]:
    """What a job takes from its request as it is."""
    return {
        "state": "queued",
        "priority": priority,
        "queue": request.queue,
        "idempotency_key": request.idempotency_key,
        "correlation_id": request.correlation_id,
        "metadata": dict(request.metadata),
        "webhook": request.webhook,
    }


def done_again(job_id: JobId, created_at: datetime, actor: Actor) -> dict[str, Any]:
    """The changes that make a job of another one's: the same work, nothing of what came of it."""
    return {
        "id": job_id,
        "state": "queued",
        "run_id": None,
        "idempotency_key": None,
        "created_at": created_at,
        "created_by": actor.label,
        "started_at": None,
        "finished_at": None,
        "reason": "",
        "summary": None,
    }


def require_ended(job: Job) -> None:
    """Raises STATE_CONFLICT: what has not ended is not done again."""
    if job.state not in JOB_LIFECYCLE.terminal:
        raise DomainError("STATE_CONFLICT", f"job {job.id!r} is {job.state}: only one that has ended can be done again")


def require_live(job: Job) -> None:
    """Raises STATE_CONFLICT: an end is final."""
    if job.state in JOB_LIFECYCLE.terminal:
        raise DomainError("STATE_CONFLICT", f"job {job.id!r} is {job.state}: only one that has not ended is cancelled")


async def built_graph(graphs: GraphJobStore, actor: Actor, job_id: str) -> GraphJob:
    """The build of that name, which must have succeeded. Raises INVALID_INPUT, NOT_FOUND, STATE_CONFLICT."""
    found = await graphs.get(actor.tenant_id, JobId(job_id))
    if found.kind != "build":
        problem = FieldProblem("graph_job_id", f"is a graph job of the kind {found.kind}", "name a build")
        raise invalid_input([problem])
    if found.state != "succeeded":
        raise DomainError("STATE_CONFLICT", f"graph job {job_id!r} is {found.state}: it has no graph to work on")
    return found


def require_size(field: str, packed_bytes: int) -> None:
    """Raises INVALID_INPUT."""
    problems = list(size_problems(field, packed_bytes))
    if problems:
        raise invalid_input(problems)
