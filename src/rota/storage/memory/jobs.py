"""Jobs in memory: the oracle of `rota.storage.postgres.jobs` and `rota.storage.postgres.job_work`."""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from msgspec import structs

from rota.core.job_ends import ended, state_after
from rota.domain.errors import not_found
from rota.domain.event import EventDraft
from rota.domain.graph_job import GraphJob, JobEvent
from rota.domain.ids import JobId, RunId, TenantId
from rota.domain.jobs import (
    FOLLOWERS,
    JOB_LIFECYCLE,
    LIVE_JOBS_PER_TENANT_MAX,
    ItemPart,
    JobClaim,
    JobContent,
    JobEnd,
    JobFamily,
    JobInput,
    JobResult,
    JobState,
    StoredItem,
)
from rota.domain.page import Page, PageRequest
from rota.domain.policy_job import PolicyJob
from rota.domain.run import Run, RunDraft
from rota.domain.tenancy import AuditEntry
from rota.ports.job_store import CreatedJob, JobFilter, SettledEnds
from rota.ports.run_ends import RunEnd
from rota.storage.job_refusals import key_taken, not_succeeded, requested_event, too_many_live
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.job_tables import StoredJob
from rota.storage.memory.paging import page_of
from rota.storage.memory.run_intake import store_drafts
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_cursor, decode_id_cursor

AnyJob = TypeVar("AnyJob", GraphJob, PolicyJob)
POSITION_WIDTH = 9


class _Jobs(Generic[AnyJob]):
    """What both stores do."""

    def __init__(self, database: MemoryDatabase, kind: type[AnyJob], live_max: int) -> None:
        self._database = database
        self._tables = database.jobs_state
        self._kind = kind
        self._live_max = live_max

    async def create(self, job: AnyJob, content: JobContent, draft: RunDraft, audit: AuditEntry) -> CreatedJob:
        open_tenant(self._database, job.tenant_id)
        own = self._of(job.tenant_id)
        known = next((one for one in own if job.idempotency_key == one.job.idempotency_key), None)
        if job.idempotency_key is not None and known is not None:
            if known.fingerprint != content.fingerprint:
                raise key_taken(job.idempotency_key)
            return CreatedJob(known.job.id, created=False)
        if sum(one.job.state not in JOB_LIFECYCLE.terminal for one in own) >= self._live_max:
            raise too_many_live()
        (enqueued,) = store_drafts(self._database, job.tenant_id, [draft], audit)
        given = content.input
        if given is None:
            given = self._stored(job.tenant_id, content.same_as or JobId("")).input
        made = structs.replace(job, run_id=enqueued.run_id)
        self._tables.jobs[job.id] = StoredJob(made, content.fingerprint, given)
        self._database.record_events([requested_event(made, audit)])
        note_state(self._database, made)
        if isinstance(made, PolicyJob) and made.replay_of is not None:
            self._change(made.replay_of, replay_pending=None)
        return CreatedJob(job.id, created=True)

    async def get(self, tenant_id: TenantId, job_id: JobId) -> AnyJob:
        shown = self._shown(self._stored(tenant_id, job_id))
        assert isinstance(shown, self._kind)
        return shown

    async def page(self, tenant_id: TenantId, where: JobFilter, page: PageRequest) -> Page[AnyJob]:
        found = sorted((self._shown(one) for one in self._of(tenant_id)), key=lambda job: job.id, reverse=True)
        chosen = [job for job in found if isinstance(job, self._kind) and _matches(job, where)]
        behind = None if page.cursor is None else decode_id_cursor(page.cursor, 1)[0]
        rest = [job for job in chosen if behind is None or job.id < behind]
        shown = page_of(rest, lambda job: (job.id,), structs.replace(page, cursor=None), None)
        counted = min(len(chosen), page.count_max or len(chosen))
        return Page(shown.items, counted, page.limit, page.offset, shown.next_cursor)

    async def sizes(self, tenant_id: TenantId, job_ids: Sequence[JobId]) -> dict[JobId, int]:
        return {
            one.job.id: len(one.packed)
            for one in self._of(tenant_id)
            if one.job.id in job_ids and one.job.state == "succeeded" and one.packed is not None
        }

    async def items(
        self, tenant_id: TenantId, job_id: JobId, part: ItemPart | None, page: PageRequest
    ) -> Page[StoredItem]:
        stored = self._stored(tenant_id, job_id)
        result = stored.result if stored.job.state == "succeeded" else None
        found = (
            []
            if result is None
            else [
                StoredItem(place, item.part, item.subject, item.data)
                for place, item in enumerate(result.items, 1)
                if part in (None, item.part)
            ]
        )
        behind = 0 if page.cursor is None else int(decode_cursor(page.cursor, 1)[0])
        rest = [item for item in found if item.position > behind]
        shown = page_of(rest, lambda item: (str(item.position),), structs.replace(page, cursor=None), None)
        return Page(shown.items, len(found), page.limit, page.offset, shown.next_cursor)

    def _of(self, tenant_id: TenantId) -> list[StoredJob]:
        return [
            one
            for one in self._tables.jobs.values()
            if one.job.tenant_id == tenant_id and isinstance(one.job, self._kind)
        ]

    def _stored(self, tenant_id: TenantId, job_id: JobId) -> StoredJob:
        found = self._tables.jobs.get(job_id)
        if found is None or found.job.tenant_id != tenant_id or not isinstance(found.job, self._kind):
            raise not_found("graph job" if self._kind is GraphJob else "policy job", job_id)
        return found

    def _shown(self, stored: StoredJob) -> GraphJob | PolicyJob:
        return shown(self._database, stored)

    def _change(self, job_id: JobId, **fields: object) -> None:
        stored = self._tables.jobs[job_id]
        stored.job = structs.replace(stored.job, **fields)


class MemoryGraphJobStore(_Jobs[GraphJob]):
    """See `rota.ports.job_store.GraphJobStore`."""

    def __init__(self, database: MemoryDatabase, live_max: int = LIVE_JOBS_PER_TENANT_MAX) -> None:
        super().__init__(database, GraphJob, live_max)

    async def events(self, tenant_id: TenantId, job_id: JobId) -> tuple[JobEvent, ...]:
        self._stored(tenant_id, job_id)
        return tuple(event for event in self._tables.events if event.job_id == job_id)


class MemoryPolicyJobStore(_Jobs[PolicyJob]):
    """See `rota.ports.job_store.PolicyJobStore`."""

    def __init__(self, database: MemoryDatabase, live_max: int = LIVE_JOBS_PER_TENANT_MAX) -> None:
        super().__init__(database, PolicyJob, live_max)

    async def mark_replay(self, tenant_id: TenantId, job_id: JobId, reason: str, audit: AuditEntry) -> PolicyJob:
        job = await self.get(tenant_id, job_id)
        if job.state != "succeeded":
            raise not_succeeded(job)
        self._change(job_id, replay_pending=reason)
        self._database.record_events(
            [EventDraft("PolicyReplayMarked", tenant_id, job_id, audit.actor, {"reason": reason})]
        )
        self._database.record_audit(tenant_id, audit)
        return await self.get(tenant_id, job_id)

    async def effective(self, tenant_id: TenantId, policy_id: str, graph_job_id: JobId) -> PolicyJob:
        found = [
            job
            for one in self._of(tenant_id)
            if isinstance(job := self._shown(one), PolicyJob)
            and (job.policy_id, job.graph_job_id, job.state) == (policy_id, graph_job_id, "succeeded")
            and job.mode != "simulate"
        ]
        if not found:
            raise not_found("judgement that holds for policy", policy_id)
        return max(found, key=lambda job: job.id)


class MemoryJobWork:
    """See `rota.ports.job_store.JobWork`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._tables = database.jobs_state

    async def begin(self, claims: Sequence[JobClaim]) -> dict[RunId, JobInput]:
        inputs: dict[RunId, JobInput] = {}
        for claim in claims:
            stored = self._of_run(claim.run_id)
            if stored is None or not JOB_LIFECYCLE.allows(stored.job.state, "begin"):
                continue
            began = stored.job.started_at or self._database.now()
            was, stored.job = stored.job, structs.replace(stored.job, state="running", started_at=began)
            if was.state != "running":
                note_state(self._database, stored.job)
            inputs[claim.run_id] = self._input(stored)
        return inputs

    async def save_result(self, claim: JobClaim, packed: bytes, result: JobResult) -> bool:
        live = self._database.runs_state.live.get(claim.run_id)
        stored = self._of_run(claim.run_id)
        if live is None or stored is None or stored.job.state != "running":
            return False
        if (live.state, live.token, live.tenant_id) != ("running", claim.token, claim.tenant_id):
            return False
        stored.packed, stored.result = packed, result
        return True

    def _of_run(self, run_id: RunId) -> StoredJob | None:
        return next((one for one in self._tables.jobs.values() if one.job.run_id == run_id), None)

    def _input(self, stored: StoredJob) -> JobInput:
        job = stored.job
        documents: dict[str, tuple[bytes, ...]] = {"input": (stored.input,)}
        if isinstance(job, GraphJob):
            documents["graph"] = self._results([job.base_job_id])
            return JobInput(job.id, job.kind, documents)
        base = None if job.base_job_id is None else self._tables.jobs.get(job.base_job_id)
        documents["graph"] = self._results([job.graph_job_id])
        documents["overlays"] = self._results_in_place(job.overlay_job_ids)
        documents["base"] = self._results([job.base_job_id])
        before = base.job if base is not None and base.job.state == "succeeded" else None
        named = before.overlay_job_ids if isinstance(before, PolicyJob) else ()
        documents["base_overlays"] = self._results_in_place(named)
        return JobInput(job.id, job.mode, documents)

    def _results_in_place(self, job_ids: Iterable[JobId]) -> tuple[bytes, ...]:
        """An empty one in the place of each that is gone."""
        return tuple(packed for one in job_ids for packed in self._results([one]) or (b"",))

    def _results(self, job_ids: Iterable[JobId | None]) -> tuple[bytes, ...]:
        found = [self._tables.jobs.get(job_id) for job_id in job_ids if job_id is not None]
        return tuple(
            one.packed for one in found if one is not None and one.packed is not None and one.job.state == "succeeded"
        )


class MemoryJobEnds:
    """See `rota.ports.job_store.JobEnds`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def settle_ended(self, family: JobFamily, limit: int) -> SettledEnds:
        runs = self._database.runs_state
        taken = [end for name, end in runs.ends if name == FOLLOWERS[family]][:limit]
        runs.ends = [(name, end) for name, end in runs.ends if name != FOLLOWERS[family] or end not in taken]
        states: list[JobState | None] = [self._follow(end) for end in taken]
        return SettledEnds(len(taken), tuple(state for state in states if state is not None))

    def _follow(self, end: RunEnd) -> JobState | None:
        """The state of the job that ended."""
        jobs = self._database.jobs_state.jobs.values()
        stored = next((one for one in jobs if one.job.run_id == end.run_id), None)
        if stored is None:
            return None
        told = JobEnd(end.run_id, end.state, end.ended_at, _reason(self._database.runs_state.records[end.run_id]))
        state = state_after(stored.job.state, told)
        if state is None:
            return None
        reason = "" if state == "succeeded" else told.reason
        stored.job = structs.replace(stored.job, state=state, finished_at=end.ended_at, reason=reason)
        note_state(self._database, stored.job)
        what = ended(shown(self._database, stored))
        self._database.record_events([what.event])
        if what.webhook is not None:
            audit = AuditEntry("rota", "enqueue", "run", f"webhook of job {stored.job.id}")
            store_drafts(self._database, what.webhook.tenant_id, [what.webhook], audit)
        return stored.job.state


def note_state(database: MemoryDatabase, job: GraphJob | PolicyJob) -> None:
    """Only graph jobs have a history of states."""
    if isinstance(job, GraphJob):
        at = job.finished_at or job.started_at or job.created_at
        event = JobEvent(database.new_id(), job.id, job.tenant_id, job.state, at, job.reason)
        database.jobs_state.events.append(event)


def shown(database: MemoryDatabase, stored: StoredJob) -> GraphJob | PolicyJob:
    """As readers get it: a result is shown when its job has succeeded."""
    job, result = stored.job, stored.result
    if job.state != "succeeded" or result is None:
        return job
    if isinstance(job, GraphJob):
        return structs.replace(job, summary=result.summary, snapshot_id=result.content_hash)
    matches = None
    if job.replay_of is not None:
        before = database.jobs_state.jobs[job.replay_of]
        matches = before.result.content_hash == result.content_hash if before.result is not None else None
    return structs.replace(job, summary=result.summary, determinism_hash=result.content_hash, replay_matches=matches)


def _reason(run: Run) -> str:
    return run.error.message if run.error is not None and run.error.message else run.reason


def _matches(job: GraphJob | PolicyJob, where: JobFilter) -> bool:
    kind = job.kind if isinstance(job, GraphJob) else job.mode
    if where.kind not in (None, kind) or where.state not in (None, job.state):
        return False
    if not isinstance(job, PolicyJob):
        return True
    return where.policy_id in (None, job.policy_id) and where.replay_pending in (None, job.replay_pending is not None)
