"""Graph jobs and policy jobs of one tenant, the attempts that execute them, and the ends of their runs."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from rota.domain.graph_job import GraphJob, JobEvent
from rota.domain.ids import JobId, RunId, TenantId
from rota.domain.jobs import ItemPart, JobClaim, JobContent, JobFamily, JobInput, JobResult, JobState, StoredItem
from rota.domain.page import Page, PageRequest
from rota.domain.policy_job import PolicyJob
from rota.domain.run import RunDraft
from rota.domain.tenancy import AuditEntry


class JobFilter(Struct, frozen=True):
    """All given conditions must hold. `kind` is that of a graph job, or the mode of a policy job."""

    kind: str | None = None
    state: JobState | None = None
    policy_id: str | None = None
    replay_pending: bool | None = None


class CreatedJob(Struct, frozen=True):
    """`created` is False where the tenant's key was known: it names the job that has it."""

    job_id: JobId
    created: bool


class GraphJobStore(Protocol):
    """Confined to the tenant. A job and its run are stored together or not at all."""

    async def create(self, job: GraphJob, content: JobContent, draft: RunDraft, audit: AuditEntry) -> CreatedJob:
        """Raises IDEMPOTENCY_MISMATCH where the key was used with another fingerprint, QUOTA_EXCEEDED; NOT_FOUND or
        STATE_CONFLICT where the tenant is unknown or revoked.
        """
        ...

    async def get(self, tenant_id: TenantId, job_id: JobId) -> GraphJob:
        """Raises NOT_FOUND."""
        ...

    async def page(self, tenant_id: TenantId, where: JobFilter, page: PageRequest) -> Page[GraphJob]:
        """Newest first."""
        ...

    async def sizes(self, tenant_id: TenantId, job_ids: Sequence[JobId]) -> dict[JobId, int]:
        """How many bytes the packed result of each has. A job that has not succeeded is not in the answer."""
        ...

    async def items(
        self, tenant_id: TenantId, job_id: JobId, part: ItemPart | None, page: PageRequest
    ) -> Page[StoredItem]:
        """Of a job that has succeeded, by position; of any other none. Raises NOT_FOUND."""
        ...

    async def events(self, tenant_id: TenantId, job_id: JobId) -> tuple[JobEvent, ...]:
        """The states that it came into, in order. Raises NOT_FOUND."""
        ...


class PolicyJobStore(Protocol):
    """As `GraphJobStore`."""

    async def create(self, job: PolicyJob, content: JobContent, draft: RunDraft, audit: AuditEntry) -> CreatedJob:
        """As that of graph jobs. A replay takes the mark off the job that it replays."""
        ...

    async def get(self, tenant_id: TenantId, job_id: JobId) -> PolicyJob:
        """Raises NOT_FOUND."""
        ...

    async def page(self, tenant_id: TenantId, where: JobFilter, page: PageRequest) -> Page[PolicyJob]:
        """Newest first."""
        ...

    async def sizes(self, tenant_id: TenantId, job_ids: Sequence[JobId]) -> dict[JobId, int]:
        """As that of graph jobs."""
        ...

    async def items(
        self, tenant_id: TenantId, job_id: JobId, part: ItemPart | None, page: PageRequest
    ) -> Page[StoredItem]:
        """The verdicts of a judgement, the changes of a simulation."""
        ...

    async def mark_replay(self, tenant_id: TenantId, job_id: JobId, reason: str, audit: AuditEntry) -> PolicyJob:
        """That it should be judged again. Raises NOT_FOUND; STATE_CONFLICT unless it has succeeded."""
        ...

    async def effective(self, tenant_id: TenantId, policy_id: str, graph_job_id: JobId) -> PolicyJob:
        """The last judgement that holds for a policy and a graph; never a simulation. Raises NOT_FOUND."""
        ...


class JobWork(Protocol):
    """The worker's side, over all tenants."""

    async def begin(self, claims: Sequence[JobClaim]) -> dict[RunId, JobInput]:
        """What the attempts are handed; their jobs are running from now on. One that has ended is not in the answer."""
        ...

    async def save_result(self, claim: JobClaim, packed: bytes, result: JobResult) -> bool:
        """Under the attempt's token, in place of what an earlier attempt saved; all of it or nothing. False, and
        nothing stored, where the token is no longer current. Nobody sees it before the job has succeeded.
        """
        ...


class SettledEnds(Struct, frozen=True):
    """How many ends were taken off the list, and the states of the jobs that ended with them."""

    taken_count: int
    states: tuple[JobState, ...] = ()


class JobEnds(Protocol):
    """Only for the leader: it looks across tenants."""

    async def settle_ended(self, family: JobFamily, limit: int) -> SettledEnds:
        """Makes the jobs of runs that have ended follow them, with event and webhook, and forgets those ends. Two who
        do it at once do each once.
        """
        ...
