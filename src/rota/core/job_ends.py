"""What follows from the end of a job's run: its state, the event, and the request that tells who asked for it. Pure.

The payload is that of `scheduler.graph.job.completed`, which receivers know; its words for states stand there alone.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct, to_builtins

from rota.domain.event import EventDraft
from rota.domain.graph_job import GraphJob
from rota.domain.jobs import JOB_LIFECYCLE, RUN_PRIORITIES, VERB_OF_RUN, JobEnd
from rota.domain.lifecycle import Transition
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.policy_job import PolicyJob
from rota.domain.run import RunDraft
from rota.domain.targets import HttpTarget

TOLD_STATES = {"succeeded": "completed", "failed": "failed", "cancelled": "cancelled"}
WEBHOOK_SECONDS_MAX = 10.0
WEBHOOK_RETRY = RetryPolicy(base_seconds=5.0, factor=2.0, cap_seconds=600.0, attempts_max=8)


class EndedJob(Struct, frozen=True):
    """What to record with a job that has ended; `webhook` is the run that tells of it."""

    event: EventDraft
    webhook: RunDraft | None = None


def state_after(state: str, end: JobEnd) -> str | None:
    """The job's state after the end of its run; None where the table of moves has none: it has ended before."""
    verb = VERB_OF_RUN[end.run_state]
    return JOB_LIFECYCLE.next_state(state, verb) if JOB_LIFECYCLE.allows(state, verb) else None


def possible_moves() -> tuple[Transition, ...]:
    """The ends that the table of moves allows: the guard of the stores' compare-and-set."""
    return tuple(move for move in JOB_LIFECYCLE.transitions if move.target in JOB_LIFECYCLE.terminal)


def ended(job: GraphJob | PolicyJob) -> EndedJob:
    """`job` is as its end has left it."""
    payload = _payload(job)
    name = "GraphJobCompleted" if isinstance(job, GraphJob) else "PolicyJobCompleted"
    event = EventDraft(name, job.tenant_id, job.id, "", payload)
    return EndedJob(event, None if job.webhook is None else _webhook(job, payload))


def _payload(job: GraphJob | PolicyJob) -> dict[str, Any]:
    finished = "" if job.finished_at is None else _shown(job.finished_at)
    path = "graphs/jobs" if isinstance(job, GraphJob) else "policy/runs"
    return {
        "jobType": job.kind if isinstance(job, GraphJob) else job.mode,
        "status": TOLD_STATES[job.state],
        "occurredAt": finished,
        "job": to_builtins(job),
        "resultUri": f"/api/v1/{path}/{job.id}/items" if job.state == "succeeded" else None,
    }


def _webhook(job: GraphJob | PolicyJob, payload: dict[str, Any]) -> RunDraft:
    """A run of an HTTP target: its retries, its guard over addresses and its signature are those of any other."""
    assert job.webhook is not None
    family = "graph" if isinstance(job, GraphJob) else "policy"
    body = {
        "eventId": job.id,
        "kind": f"scheduler.{family}.job.completed",
        "tenant": job.tenant_id,
        "ts": payload["occurredAt"],
        "payload": payload,
        "attributes": job.metadata,
    }
    return RunDraft(
        tenant_id=job.tenant_id,
        target=HttpTarget(job.webhook.url, "POST", {}, body, job.webhook.signed_with),
        policy=RunPolicy(timeout_seconds=WEBHOOK_SECONDS_MAX, retry=WEBHOOK_RETRY),
        queue=job.queue,
        priority=RUN_PRIORITIES[job.priority],
        reason=f"tells the end of job {job.id}",
        created_by=job.created_by,
    )


def _shown(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
