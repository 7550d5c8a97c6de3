"""What the stores of jobs answer alike."""

from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.graph_job import GraphJob
from rota.domain.jobs import LIVE_JOBS_PER_TENANT_MAX
from rota.domain.policy_job import PolicyJob
from rota.domain.problems import FieldProblem
from rota.domain.tenancy import AuditEntry


def key_taken(key: str) -> DomainError:
    problem = FieldProblem("idempotency_key", f"{key!r} was used for another request", "use a new key")
    return DomainError("IDEMPOTENCY_MISMATCH", f"the idempotency key {key!r} was used for another request", [problem])


def too_many_live() -> DomainError:
    return DomainError(
        "QUOTA_EXCEEDED", f"a tenant may have {LIVE_JOBS_PER_TENANT_MAX} jobs of a family that have not ended"
    )


def not_succeeded(job: PolicyJob) -> DomainError:
    return DomainError("STATE_CONFLICT", f"job {job.id!r} is {job.state}: only one that has succeeded is judged again")


def requested_event(job: GraphJob | PolicyJob, audit: AuditEntry) -> EventDraft:
    graph = isinstance(job, GraphJob)
    data = {"kind": job.kind if graph else job.mode, "priority": job.priority, "retry_of": job.retry_of}
    return EventDraft("GraphJobRequested" if graph else "PolicyJobRequested", job.tenant_id, job.id, audit.actor, data)
