"""The verbs on graph jobs: build, overlay, cancel, retry. A job is executed by a run, and follows it."""

import asyncio
import hashlib

from msgspec import structs

from rota.core.field_rules import NAME_RULE, text_problems
from rota.core.graph_build import sbom_problems
from rota.core.graph_overlay import advisories_problems
from rota.core.job_rules import request_problems
from rota.core.packing import canonical, pack
from rota.domain.errors import invalid_input
from rota.domain.graph_job import GraphBuildRequest, GraphJob, GraphOverlayRequest
from rota.domain.ids import JobId
from rota.domain.jobs import JobContent
from rota.ports.job_store import CreatedJob, GraphJobStore
from rota.services.acting import Actor
from rota.services.job_making import (
    JobParts,
    built_graph,
    common_fields,
    done_again,
    require_ended,
    require_live,
    require_size,
    run_draft,
)
from rota.services.schedule_verbs import fingerprint_of

BUILD_TASK = "rota.graph_build"
OVERLAY_TASK = "rota.graph_overlay"


class GraphJobVerbs:
    """Stateless."""

    def __init__(self, jobs: GraphJobStore, parts: JobParts) -> None:
        self._jobs = jobs
        self._parts = parts

    async def build(self, actor: Actor, request: GraphBuildRequest) -> CreatedJob:
        """Raises INVALID_INPUT, IDEMPOTENCY_MISMATCH, QUOTA_EXCEEDED."""
        problems = [
            *request_problems(request),
            *text_problems("sbom_id", request.sbom_id, NAME_RULE),
        ]
        if request.sbom_version_id:
            problems += text_problems("sbom_version_id", request.sbom_version_id, NAME_RULE)
        problems += await asyncio.to_thread(lambda: list(sbom_problems("sbom", request.sbom)))
        if problems:
            raise invalid_input(problems)
        packed, digest = await asyncio.to_thread(lambda: (pack(request.sbom), _digest(request.sbom)))
        require_size("sbom", len(packed))
        job = GraphJob(
            id=JobId(self._parts.ids.new_id()),
            tenant_id=actor.tenant_id,
            kind="build",
            sbom_id=request.sbom_id,
            sbom_version_id=request.sbom_version_id,
            sbom_digest=digest,
            created_at=await self._parts.now(),
            created_by=actor.label,
            **common_fields(request, request.priority),
        )
        return await self._create(actor, job, JobContent(_fingerprint(request, digest), packed), "create")

    async def overlay(self, actor: Actor, request: GraphOverlayRequest) -> CreatedJob:
        """Raises INVALID_INPUT, NOT_FOUND, STATE_CONFLICT, IDEMPOTENCY_MISMATCH, QUOTA_EXCEEDED."""
        problems = [*request_problems(request), *advisories_problems("advisories", request.advisories)]
        if problems:
            raise invalid_input(problems)
        base = await built_graph(self._jobs, actor, request.graph_job_id)
        packed = await asyncio.to_thread(lambda: pack(request.advisories))
        sizes = await self._jobs.sizes(actor.tenant_id, [base.id])
        require_size("advisories", len(packed) + sizes.get(base.id, 0))
        job = GraphJob(
            id=JobId(self._parts.ids.new_id()),
            tenant_id=actor.tenant_id,
            kind="overlay",
            sbom_id=base.sbom_id,
            sbom_version_id=base.sbom_version_id,
            sbom_digest=base.sbom_digest,
            base_job_id=base.id,
            created_at=await self._parts.now(),
            created_by=actor.label,
            **common_fields(request, request.priority),
        )
        content = JobContent(_fingerprint(request, _digest(request.advisories)), packed)
        return await self._create(actor, job, content, "create")

    async def cancel(self, actor: Actor, job_id: JobId) -> GraphJob:
        """Its run is cancelled; the job follows. Raises NOT_FOUND, STATE_CONFLICT."""
        job = await self._jobs.get(actor.tenant_id, job_id)
        require_live(job)
        await self._parts.cancel_run(job, actor)
        return await self._jobs.get(actor.tenant_id, job_id)

    async def retry(self, actor: Actor, job_id: JobId) -> CreatedJob:
        """A job that has ended once more, as a new one. Raises NOT_FOUND, STATE_CONFLICT, QUOTA_EXCEEDED."""
        old = await self._jobs.get(actor.tenant_id, job_id)
        require_ended(old)
        changes = done_again(JobId(self._parts.ids.new_id()), await self._parts.now(), actor)
        again = structs.replace(old, **changes, retry_of=old.id, snapshot_id=None)
        content = JobContent(fingerprint_of((old.id, "retry")), same_as=old.id)
        return await self._create(actor, again, content, "retry")

    async def _create(self, actor: Actor, job: GraphJob, content: JobContent, verb: str) -> CreatedJob:
        draft = run_draft(job, BUILD_TASK if job.kind == "build" else OVERLAY_TASK, "graph", actor)
        made = await self._jobs.create(job, content, draft, actor.audit(verb, "graph_job", job.id))
        if made.created:
            self._parts.wakeups.announce(f"queue:{job.queue}")
        return made


def _digest(document: object) -> str:
    return f"sha256:{hashlib.sha256(canonical(document)).hexdigest()}"


def _fingerprint(request: GraphBuildRequest | GraphOverlayRequest, digest: str) -> bytes:
    """Of all that was asked for; the document by its digest."""
    if isinstance(request, GraphBuildRequest):
        return fingerprint_of((structs.replace(request, sbom={}), digest))
    return fingerprint_of((structs.replace(request, advisories=()), digest))
