"""Graph jobs and policy jobs in PostgreSQL, through the api login and row-level security.

A job, its run, its event and its audit entry are one transaction. The two tables are asked by statements of their own;
what the stores do with them is the same.
"""

from collections.abc import Sequence
from typing import TypeVar

import asyncpg
import msgspec
from msgspec import Struct, to_builtins

from rota.domain.errors import Bug, not_found
from rota.domain.event import EventDraft
from rota.domain.graph_job import GraphJob, JobEvent
from rota.domain.ids import JobId, TenantId
from rota.domain.jobs import LIVE_JOBS_PER_TENANT_MAX, ItemPart, JobContent, StoredItem
from rota.domain.page import Page, PageRequest
from rota.domain.policy_job import PolicyJob
from rota.domain.run import RunDraft
from rota.domain.tenancy import AuditEntry
from rota.ports.job_store import CreatedJob, JobFilter
from rota.storage.job_refusals import key_taken, not_succeeded, requested_event, too_many_live
from rota.storage.page_cursor import cursor_refused, decode_cursor, decode_id_cursor, is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_intake import store_drafts
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

EVENTS_OF_A_JOB_MAX = 100
POSITION_DIGITS_MAX = 9

AnyJob = TypeVar("AnyJob", GraphJob, PolicyJob)


class JobTable(Struct, frozen=True):
    """The statements on one of the two tables."""

    noun: str
    lock_quota: str
    count_live: str
    insert: str
    find_key: str
    name_run: str
    read: str
    sizes: str


GRAPH_JOBS = JobTable(
    "graph job",
    query("graph_jobs/lock_quota"),
    query("graph_jobs/count_live"),
    query("graph_jobs/insert_job"),
    query("graph_jobs/find_key"),
    query("graph_jobs/name_run"),
    query("graph_jobs/read_job"),
    query("graph_jobs/read_sizes"),
)
POLICY_JOBS = JobTable(
    "policy job",
    query("policy_jobs/lock_quota"),
    query("policy_jobs/count_live"),
    query("policy_jobs/insert_job"),
    query("policy_jobs/find_key"),
    query("policy_jobs/name_run"),
    query("policy_jobs/read_job"),
    query("policy_jobs/read_sizes"),
)
_PAGE_GRAPH_JOBS = query("graph_jobs/page_jobs")
_PAGE_POLICY_JOBS = query("policy_jobs/page_jobs")
_PAGE_ITEMS = query("graph_jobs/page_items")
_PAGE_VERDICTS = query("policy_jobs/page_verdicts")
_PAGE_CHANGES = query("policy_jobs/page_changes")
_LIST_EVENTS = query("graph_jobs/list_events")
_INSERT_JOB_EVENTS = query("graph_jobs/insert_events")
_MARK_IF_SUCCEEDED = query("policy_jobs/mark_if_succeeded")
_UNMARK_REPLAYED = query("policy_jobs/unmark_replayed")
_READ_EFFECTIVE = query("policy_jobs/read_effective")


class PostgresGraphJobStore:
    """See `rota.ports.job_store.GraphJobStore`. A test may lower `live_max`."""

    def __init__(self, api_pool: Pool, live_max: int = LIVE_JOBS_PER_TENANT_MAX) -> None:
        self._pool = api_pool
        self._live_max = live_max

    async def create(self, job: GraphJob, content: JobContent, draft: RunDraft, audit: AuditEntry) -> CreatedJob:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, job.tenant_id) as connection:
                made = await _create(connection, GRAPH_JOBS, job, content, (draft, audit, self._live_max))
                if made.created:
                    await insert_job_events(connection, [job])
                return made

    async def get(self, tenant_id: TenantId, job_id: JobId) -> GraphJob:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await _read(connection, GRAPH_JOBS, GraphJob, (tenant_id, job_id))

    async def page(self, tenant_id: TenantId, where: JobFilter, page: PageRequest) -> Page[GraphJob]:
        behind, offset = _place(page)
        arguments = (tenant_id, where.kind, where.state, behind, page.limit + 1, offset, page.count_max)
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_PAGE_GRAPH_JOBS, *arguments)
        return page_of_rows(rows, page, lambda row: job_of(row, GraphJob), lambda job: (job.id,))

    async def sizes(self, tenant_id: TenantId, job_ids: Sequence[JobId]) -> dict[JobId, int]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await _sizes(connection, GRAPH_JOBS, tenant_id, job_ids)

    async def items(
        self, tenant_id: TenantId, job_id: JobId, part: ItemPart | None, page: PageRequest
    ) -> Page[StoredItem]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            job = await _read(connection, GRAPH_JOBS, GraphJob, (tenant_id, job_id))
            if job.state != "succeeded":
                return Page((), 0, page.limit, page.offset)
            return await _items(connection, _PAGE_ITEMS, (tenant_id, job_id, part), page)

    async def events(self, tenant_id: TenantId, job_id: JobId) -> tuple[JobEvent, ...]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            await _read(connection, GRAPH_JOBS, GraphJob, (tenant_id, job_id))
            rows = await connection.fetch(_LIST_EVENTS, tenant_id, job_id, EVENTS_OF_A_JOB_MAX)
        return tuple(msgspec.convert(dict(row), JobEvent) for row in rows)


class PostgresPolicyJobStore:
    """See `rota.ports.job_store.PolicyJobStore`. A test may lower `live_max`."""

    def __init__(self, api_pool: Pool, live_max: int = LIVE_JOBS_PER_TENANT_MAX) -> None:
        self._pool = api_pool
        self._live_max = live_max

    async def create(self, job: PolicyJob, content: JobContent, draft: RunDraft, audit: AuditEntry) -> CreatedJob:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, job.tenant_id) as connection:
                made = await _create(connection, POLICY_JOBS, job, content, (draft, audit, self._live_max))
                if made.created and job.replay_of is not None:
                    await connection.execute(_UNMARK_REPLAYED, job.tenant_id, job.replay_of)
                return made

    async def get(self, tenant_id: TenantId, job_id: JobId) -> PolicyJob:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await _read(connection, POLICY_JOBS, PolicyJob, (tenant_id, job_id))

    async def page(self, tenant_id: TenantId, where: JobFilter, page: PageRequest) -> Page[PolicyJob]:
        behind, offset = _place(page)
        asked = (where.kind, where.state, behind, page.limit + 1, offset, where.policy_id, where.replay_pending)
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_PAGE_POLICY_JOBS, tenant_id, *asked, page.count_max)
        return page_of_rows(rows, page, lambda row: job_of(row, PolicyJob), lambda job: (job.id,))

    async def sizes(self, tenant_id: TenantId, job_ids: Sequence[JobId]) -> dict[JobId, int]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await _sizes(connection, POLICY_JOBS, tenant_id, job_ids)

    async def items(
        self, tenant_id: TenantId, job_id: JobId, part: ItemPart | None, page: PageRequest
    ) -> Page[StoredItem]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            job = await _read(connection, POLICY_JOBS, PolicyJob, (tenant_id, job_id))
            if job.state != "succeeded":
                return Page((), 0, page.limit, page.offset)
            statement = _PAGE_CHANGES if job.mode == "simulate" else _PAGE_VERDICTS
            return await _items(connection, statement, (tenant_id, job_id, part), page)

    async def mark_replay(self, tenant_id: TenantId, job_id: JobId, reason: str, audit: AuditEntry) -> PolicyJob:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                marked = None
                if is_uuid(job_id):
                    marked = await connection.fetchval(_MARK_IF_SUCCEEDED, tenant_id, job_id, reason)
                job = await _read(connection, POLICY_JOBS, PolicyJob, (tenant_id, job_id))
                if marked is None:
                    raise not_succeeded(job)
                await insert_events(
                    connection,
                    [EventDraft("PolicyReplayMarked", tenant_id, job_id, audit.actor, {"reason": reason})],
                )
                await insert_audit(connection, tenant_id, audit)
                return job

    async def effective(self, tenant_id: TenantId, policy_id: str, graph_job_id: JobId) -> PolicyJob:
        row = None
        with refusing_unstorable_text():
            if is_uuid(graph_job_id):
                async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                    row = await connection.fetchrow(_READ_EFFECTIVE, tenant_id, policy_id, graph_job_id)
        if row is None:
            raise not_found("judgement that holds for policy", policy_id)
        return job_of(row, PolicyJob)


def job_of(row: Row, kind: type[AnyJob]) -> AnyJob:
    """The columns of the view have the names of the record's fields."""
    return msgspec.convert(dict(row), kind)


async def insert_job_events(connection: Connection, jobs: Sequence[GraphJob]) -> None:
    """The states that the jobs are in now, each since it came into it."""
    await connection.execute(
        _INSERT_JOB_EVENTS,
        [job.tenant_id for job in jobs],
        [job.id for job in jobs],
        [job.state for job in jobs],
        [job.finished_at or job.started_at or job.created_at for job in jobs],
        [job.reason for job in jobs],
    )


async def _create(
    connection: Connection,
    table: JobTable,
    job: GraphJob | PolicyJob,
    content: JobContent,
    run: tuple[RunDraft, AuditEntry, int],
) -> CreatedJob:
    """`run` is its run, the audit entry and how many may be live."""
    draft, audit, live_max = run
    await connection.execute(table.lock_quota, job.tenant_id)
    record = to_builtins(job)
    is_full = await connection.fetchval(table.count_live, job.tenant_id) >= live_max
    try:
        arguments = (job.tenant_id, record, content.fingerprint, content.input, content.same_as)
        made = await connection.fetchval(table.insert, *arguments)
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", job.tenant_id) from error
    if made is None:
        return await _known(connection, table, job, content)
    if is_full:
        raise too_many_live()
    await refuse_revoked_tenant(connection, job.tenant_id)
    (enqueued,) = await store_drafts(connection, job.tenant_id, [draft], audit)
    await connection.execute(table.name_run, job.tenant_id, job.id, enqueued.run_id)
    await insert_events(connection, [requested_event(job, audit)])
    return CreatedJob(job.id, created=True)


async def _known(connection: Connection, table: JobTable, job: GraphJob | PolicyJob, content: JobContent) -> CreatedJob:
    row = await connection.fetchrow(table.find_key, job.tenant_id, job.idempotency_key)
    if row is None:
        raise Bug("a job's key is taken, but no job of the tenant has it")
    if row["fingerprint"] != content.fingerprint:
        raise key_taken(job.idempotency_key or "")
    return CreatedJob(row["id"], created=False)


async def _read(connection: Connection, table: JobTable, kind: type[AnyJob], name: tuple[TenantId, JobId]) -> AnyJob:
    tenant_id, job_id = name
    row = await connection.fetchrow(table.read, tenant_id, job_id) if is_uuid(job_id) else None
    if row is None:
        raise not_found(table.noun, job_id)
    return job_of(row, kind)


async def _sizes(
    connection: Connection, table: JobTable, tenant_id: TenantId, job_ids: Sequence[JobId]
) -> dict[JobId, int]:
    known = [job_id for job_id in job_ids if is_uuid(job_id)]
    rows = await connection.fetch(table.sizes, tenant_id, known)
    return {JobId(row["id"]): row["packed_bytes"] for row in rows}


async def _items(
    connection: Connection, statement: str, of: tuple[TenantId, JobId, ItemPart | None], page: PageRequest
) -> Page[StoredItem]:
    behind, offset = _position(page), page.offset if page.cursor is None else 0
    rows = await connection.fetch(statement, *of, behind, page.limit + 1, offset)
    return page_of_rows(rows, page, _item, lambda item: (str(item.position),))


def _item(row: Row) -> StoredItem:
    return StoredItem(row["position"], row["part"], row["subject"], row["data"])


def _place(page: PageRequest) -> tuple[str | None, int]:
    if page.cursor is None:
        return None, page.offset
    (behind,) = decode_id_cursor(page.cursor, 1)
    return behind, 0


def _position(page: PageRequest) -> int:
    if page.cursor is None:
        return 0
    (text,) = decode_cursor(page.cursor, 1)
    if not (text.isascii() and text.isdecimal() and len(text) <= POSITION_DIGITS_MAX):
        raise cursor_refused()
    return int(text)
