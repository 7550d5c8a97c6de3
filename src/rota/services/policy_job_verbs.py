"""The verbs on policy jobs: run, cancel, retry, replay. What a job is judged by is fixed when it is asked for."""

import asyncio

from msgspec import structs

from rota.core.field_rules import NAME_RULE, POLICY_RULE, text_problems
from rota.core.job_execution import PolicyInput
from rota.core.job_rules import request_problems
from rota.core.packing import content_hash, pack
from rota.core.policy_evaluation import rules_problems
from rota.domain.errors import DomainError, invalid_input
from rota.domain.graph_job import GraphJob
from rota.domain.ids import JobId
from rota.domain.jobs import JobContent
from rota.domain.policy_job import OVERLAYS_MAX, SAMPLE_MAX, PolicyJob, PolicyRunRequest
from rota.domain.problems import FieldProblem
from rota.ports.job_store import CreatedJob, GraphJobStore, PolicyJobStore
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

POLICY_TASK = "rota.policy_run"


class PolicyJobVerbs:
    """Stateless. `graphs` are what policies are judged over."""

    def __init__(self, jobs: PolicyJobStore, graphs: GraphJobStore, parts: JobParts) -> None:
        self._jobs = jobs
        self._graphs = graphs
        self._parts = parts

    async def run(self, actor: Actor, request: PolicyRunRequest) -> CreatedJob:
        """Raises INVALID_INPUT, NOT_FOUND, STATE_CONFLICT, IDEMPOTENCY_MISMATCH, QUOTA_EXCEEDED."""
        problems = [*request_problems(request), *_policy_problems(request)]
        if problems:
            raise invalid_input(problems)
        graph = await built_graph(self._graphs, actor, request.graph_job_id)
        overlays = [await self._overlay(actor, graph, place, one) for place, one in enumerate(request.overlay_job_ids)]
        base = await self._base(actor, request)
        packed = await asyncio.to_thread(lambda: pack(PolicyInput(request.rules, request.sample)))
        await self._require_size(actor, len(packed), [graph.id, *(one.id for one in overlays)], base)
        job = PolicyJob(
            id=JobId(self._parts.ids.new_id()),
            tenant_id=actor.tenant_id,
            policy_id=request.policy_id,
            policy_version=request.policy_version,
            mode=request.mode,
            graph_job_id=graph.id,
            overlay_job_ids=tuple(one.id for one in overlays),
            base_job_id=None if base is None else base.id,
            created_at=await self._parts.now(),
            created_by=actor.label,
            **common_fields(request, request.priority),
        )
        return await self._create(actor, job, JobContent(fingerprint_of(request), packed), "create")

    async def cancel(self, actor: Actor, job_id: JobId) -> PolicyJob:
        """Its run is cancelled; the job follows. Raises NOT_FOUND, STATE_CONFLICT."""
        job = await self._jobs.get(actor.tenant_id, job_id)
        require_live(job)
        await self._parts.cancel_run(job, actor)
        return await self._jobs.get(actor.tenant_id, job_id)

    async def retry(self, actor: Actor, job_id: JobId) -> CreatedJob:
        """A job that has ended once more, as a new one. Raises NOT_FOUND, STATE_CONFLICT, QUOTA_EXCEEDED."""
        old = await self._jobs.get(actor.tenant_id, job_id)
        require_ended(old)
        return await self._again(actor, old, "retry")

    async def replay(self, actor: Actor, job_id: JobId) -> CreatedJob:
        """A judgement once more from the same documents; whether it came to the same, its record says in the end.

        Raises NOT_FOUND, STATE_CONFLICT, QUOTA_EXCEEDED.
        """
        old = await self._jobs.get(actor.tenant_id, job_id)
        if old.state != "succeeded":
            raise DomainError("STATE_CONFLICT", f"job {old.id!r} is {old.state}: only what has succeeded is replayed")
        return await self._again(actor, old, "replay")

    async def mark_replay(self, actor: Actor, job_id: JobId, reason: str) -> PolicyJob:
        """Raises INVALID_INPUT, NOT_FOUND, STATE_CONFLICT."""
        problems = list(text_problems("reason", reason, NAME_RULE))
        if problems:
            raise invalid_input(problems)
        return await self._jobs.mark_replay(
            actor.tenant_id, job_id, reason, actor.audit("mark_replay", "policy_job", job_id)
        )

    async def _again(self, actor: Actor, old: PolicyJob, verb: str) -> CreatedJob:
        changes = done_again(JobId(self._parts.ids.new_id()), await self._parts.now(), actor)
        again = structs.replace(
            old,
            **changes,
            retry_of=old.id if verb == "retry" else None,
            replay_of=old.id if verb == "replay" else None,
            replay_pending=None,
            replay_matches=None,
            determinism_hash=None,
        )
        return await self._create(actor, again, JobContent(fingerprint_of((old.id, verb)), same_as=old.id), verb)

    async def _create(self, actor: Actor, job: PolicyJob, content: JobContent, verb: str) -> CreatedJob:
        draft = run_draft(job, POLICY_TASK, "policy", actor)
        made = await self._jobs.create(job, content, draft, actor.audit(verb, "policy_job", job.id))
        if made.created:
            self._parts.wakeups.announce(f"queue:{job.queue}")
        return made

    async def _overlay(self, actor: Actor, graph: GraphJob, place: int, job_id: str) -> GraphJob:
        found = await self._graphs.get(actor.tenant_id, JobId(job_id))
        if found.kind != "overlay" or found.base_job_id != graph.id:
            problem = FieldProblem(f"overlay_job_ids[{place}]", "is no overlay of the graph", "name overlays of it")
            raise invalid_input([problem])
        if found.state != "succeeded":
            raise DomainError("STATE_CONFLICT", f"graph job {job_id!r} is {found.state}: it has no findings to judge")
        return found

    async def _base(self, actor: Actor, request: PolicyRunRequest) -> PolicyJob | None:
        """What an incremental job goes on from and a simulation is compared with: as named, or what holds now."""
        if request.mode == "full":
            return None
        if request.base_job_id is None:
            found = await self._effective(actor, request)
        else:
            found = await self._jobs.get(actor.tenant_id, JobId(request.base_job_id))
        if request.mode == "simulate":
            return found
        if found is None:
            raise DomainError(
                "STATE_CONFLICT", "no judgement holds that an incremental one could go on from; run a full one"
            )
        problem = _base_problem(found, request)
        if problem is not None:
            raise invalid_input([FieldProblem("base_job_id", problem, "run a full judgement instead")])
        return found

    async def _effective(self, actor: Actor, request: PolicyRunRequest) -> PolicyJob | None:
        try:
            return await self._jobs.effective(actor.tenant_id, request.policy_id, JobId(request.graph_job_id))
        except DomainError as refused:
            if refused.code != "NOT_FOUND":
                raise
            return None

    async def _require_size(self, actor: Actor, own: int, graph_jobs: list[JobId], base: PolicyJob | None) -> None:
        before = () if base is None else base.overlay_job_ids
        sizes = await self._graphs.sizes(actor.tenant_id, [*graph_jobs, *before])
        judged = {} if base is None else await self._jobs.sizes(actor.tenant_id, [base.id])
        handed = [*graph_jobs, *before]
        require_size("overlay_job_ids", own + sum(sizes.get(one, 0) for one in handed) + sum(judged.values()))


def _policy_problems(request: PolicyRunRequest) -> list[FieldProblem]:
    problems = [
        *text_problems("policy_id", request.policy_id, POLICY_RULE),
        *text_problems("policy_version", request.policy_version, NAME_RULE),
        *rules_problems("rules", request.rules),
    ]
    if len(request.overlay_job_ids) > OVERLAYS_MAX:
        count = len(request.overlay_job_ids)
        problems.append(FieldProblem("overlay_job_ids", f"has {count} entries", f"name at most {OVERLAYS_MAX}"))
    if request.sample is not None and request.mode != "simulate":
        problems.append(FieldProblem("sample", f"is given for mode {request.mode}", "simulate, or leave it out"))
    if request.sample is not None and len(request.sample) > SAMPLE_MAX:
        problems.append(FieldProblem("sample", f"has {len(request.sample)} entries", f"send at most {SAMPLE_MAX}"))
    if request.base_job_id is not None and request.mode == "full":
        problems.append(FieldProblem("base_job_id", "is given for mode full", "leave it out: everything is judged"))
    return problems


def _base_problem(base: PolicyJob, request: PolicyRunRequest) -> str | None:
    """Why the verdicts of *base* are not those of the same rules over the same graph."""
    if base.state != "succeeded" or base.mode == "simulate":
        return f"is {base.state} in mode {base.mode}: it has no verdicts that hold"
    if (base.policy_id, base.graph_job_id) != (request.policy_id, request.graph_job_id):
        return "is a judgement of another policy or graph"
    if (base.summary or {}).get("rules_hash") != content_hash(request.rules):
        return "was judged by other rules"
    return None
