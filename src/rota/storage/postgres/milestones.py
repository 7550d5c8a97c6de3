"""Milestones of one tenant, through the api login, and what the leader finds due, through the service login.

A change holds the milestone's row and reads all else after it (law 4); its attempt's run is stored in the same
transaction. The end of an attempt is the database's own (migration `expand_milestones`): who ends a run then waits for
the row of a milestone that is in progress, and no change of such a one waits for a run.
"""

import msgspec
from msgspec import structs

from rota.domain.errors import DomainError, not_found
from rota.domain.flag import MILESTONES
from rota.domain.ids import RunId, ScheduleId, TenantId, TriggerId
from rota.domain.milestone import (
    DoneMarker,
    DueMilestone,
    Evidence,
    Generator,
    Milestone,
    MilestoneDefinition,
    MilestoneError,
    MilestoneLook,
    MilestoneStep,
)
from rota.domain.page import Page, PageRequest
from rota.domain.targets import Target
from rota.domain.tenancy import AuditEntry
from rota.ports.milestone_store import DecideStep, MilestoneFigures, MilestoneFilter, MilestoneNeed, SubjectLook
from rota.storage.page_cursor import decode_cursor
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.flags import read_off_words, shared_off_words
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_intake import store_drafts
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.postgres.stored_policies import policies_of_text
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_LOCK_MILESTONE = query("milestones/lock_milestone")
_INSERT_PLANNED = query("milestones/insert_planned")
_READ_LOOK = query("milestones/read_look")
_LOOKS_OF_SUBJECT = query("milestones/looks_of_subject")
_SAVE_LOCKED = query("milestones/save_locked")
_PAGE_MILESTONES = query("milestones/page_milestones")
_READ_MARKER = query("milestones/read_marker")
_DELETE_MARKER = query("milestones/delete_marker")
_LOOK_NEXT = query("milestone_duties/look_next")
_COUNT_FAILING = query("milestone_duties/count_failing")
_LIST_DUE = query("milestone_duties/list_due")
_POSTPONE_IF_DUE = query("milestone_duties/postpone_if_due")
_WALK_NEXT = query("milestone_duties/walk_next")

_TARGET: msgspec.json.Decoder[Target] = msgspec.json.Decoder(Target)


class PostgresMilestoneStore:
    """See `rota.ports.milestone_store.MilestoneStore`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def change(
        self, tenant_id: TenantId, name: str, subject: str, decide: DecideStep, audit: AuditEntry
    ) -> MilestoneStep:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                off = await shared_off_words(connection, tenant_id, MILESTONES)
                milestone = await _locked(connection, tenant_id, name, subject)
                row = await connection.fetchrow(_READ_LOOK, tenant_id, name, subject)
                assert row is not None, "the time is always there"
                step = decide(structs.replace(_look(row, tenant_id, name, subject, milestone), held_because=off))
                if step.milestone is None:
                    return step
                return await _stored(connection, step, step.milestone, milestone, audit)

    async def look(self, tenant_id: TenantId, subject: str) -> SubjectLook:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                off = await read_off_words(connection, tenant_id, MILESTONES)
                rows = await connection.fetch(_LOOKS_OF_SUBJECT, tenant_id, subject)
        looks = (_look_with_milestone(row, tenant_id, subject) for row in rows if row["name"] is not None)
        return SubjectLook(rows[0]["now"], tuple(structs.replace(look, held_because=off) for look in looks))

    async def page(self, tenant_id: TenantId, where: MilestoneFilter, page: PageRequest) -> Page[Milestone]:
        after = ("", "") if page.cursor is None else decode_cursor(page.cursor, 2)
        offset = page.offset if page.cursor is None else 0
        asked = (where.subject, where.name, where.state, *after, page.limit + 1, offset, page.count_max)
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_PAGE_MILESTONES, tenant_id, *asked)
        return page_of_rows(rows, page, _milestone_of_row, lambda one: (one.subject, one.name))

    async def marker(self, tenant_id: TenantId, name: str, subject: str) -> DoneMarker:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                row = await connection.fetchrow(_READ_MARKER, tenant_id, name, subject)
        if row is None:
            raise not_found("done marker", f"{name}/{subject}")
        run_id = RunId(row["run_id"])
        return DoneMarker(tenant_id, name, subject, run_id, row["completed_at"], row["attempts_count"], row["result"])


class PostgresMilestoneDuties:
    """See `rota.ports.milestone_store.MilestoneDuties`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def look(self) -> MilestoneNeed:
        row = await self._statements.fetch_one("looking for due milestones", _LOOK_NEXT)
        assert row is not None, "a SELECT without FROM gives a row"
        return MilestoneNeed(row["next_in_seconds"], row["walks"])

    async def figures(self) -> MilestoneFigures:
        row = await self._statements.fetch_one("counting milestones", _COUNT_FAILING)
        assert row is not None, "an aggregate is a row"
        return MilestoneFigures(row["backing_off_long_count"], row["ended_count"], row["failed_count"])

    async def list_due(self, limit: int) -> tuple[DueMilestone, ...]:
        rows = await self._statements.fetch("listing due milestones", _LIST_DUE, limit)
        return tuple(DueMilestone(TenantId(row["tenant_id"]), row["name"], row["subject"]) for row in rows)

    async def postpone(self, due: DueMilestone, seconds: float) -> None:
        await self._statements.fetch(
            "postponing a milestone", _POSTPONE_IF_DUE, due.tenant_id, due.name, due.subject, seconds
        )

    async def walk(self, subjects_max: int) -> int | None:
        row = await self._statements.fetch_one("planning milestones", _WALK_NEXT, subjects_max)
        return None if row is None else row["subjects_count"]


async def _locked(connection: Connection, tenant_id: TenantId, name: str, subject: str) -> Milestone | None:
    row = await connection.fetchrow(_LOCK_MILESTONE, tenant_id, name, subject)
    if row is None:
        await connection.execute(_INSERT_PLANNED, tenant_id, name, subject)
        row = await connection.fetchrow(_LOCK_MILESTONE, tenant_id, name, subject)
    return None if row is None else _milestone_of_row(row)


async def _stored(
    connection: Connection, step: MilestoneStep, after: Milestone, before: Milestone | None, audit: AuditEntry
) -> MilestoneStep:
    if step.draft is not None:
        (begun,) = await store_drafts(connection, after.tenant_id, [step.draft], audit)
        after = structs.replace(after, run_id=begun.run_id)
    elif step.events:
        await insert_audit(connection, after.tenant_id, audit)
    if step.clears_marker:
        await connection.execute(_DELETE_MARKER, after.tenant_id, after.name, after.subject)
    if step.events:
        await insert_events(connection, step.events)
    if after != before:
        await _save(connection, after)
    return structs.replace(step, milestone=after)


async def _save(connection: Connection, milestone: Milestone) -> None:
    error = milestone.last_error
    await connection.execute(
        _SAVE_LOCKED,
        milestone.tenant_id,
        milestone.name,
        milestone.subject,
        milestone.state,
        milestone.schedule_id,
        milestone.due_at,
        milestone.next_at,
        milestone.attempts_count,
        milestone.attempts_total,
        milestone.retry_delay_seconds,
        milestone.backoff_until,
        milestone.last_attempt_at,
        milestone.last_run_at,
        milestone.generated_at,
        None if error is None else msgspec.to_builtins(error),
        milestone.run_id,
        milestone.held_since,
    )


def _look(row: Row, tenant_id: TenantId, name: str, subject: str, milestone: Milestone | None) -> MilestoneLook:
    """A row of `milestones/read_look` or `milestones/looks_of_subject`."""
    is_defined = row["schedule_id"] is not None
    return MilestoneLook(
        tenant_id,
        name,
        subject,
        row["now"],
        _definition(row, tenant_id) if is_defined else None,
        _generator(row) if row["version"] is not None else None,
        _evidence(row, tenant_id, subject) if row["occurred_at"] is not None else None,
        milestone,
        row["is_done"],
    )


def _look_with_milestone(row: Row, tenant_id: TenantId, subject: str) -> MilestoneLook:
    known = None
    if row["state"] is not None:
        known = _milestone(row, tenant_id, subject)
    return _look(row, tenant_id, row["name"], subject, known)


def _definition(row: Row, tenant_id: TenantId) -> MilestoneDefinition:
    return MilestoneDefinition(
        tenant_id,
        row["name"],
        ScheduleId(row["schedule_id"]),
        TriggerId(row["trigger_id"]),
        row["evidence"],
        row["age_seconds"],
        row["window_seconds"],
        row["on_missed"],
    )


def _generator(row: Row) -> Generator:
    try:
        return _decoded_generator(row)
    except msgspec.DecodeError as wrong:
        detail = f"the schedule of {row['name']} was stored by a newer version of Rota, which can make it ({wrong})"
        raise DomainError("STATE_CONFLICT", detail) from wrong


def _decoded_generator(row: Row) -> Generator:
    return Generator(row["version"], row["enabled"], _TARGET.decode(row["target"]), policies_of_text(row["policies"]))


def _evidence(row: Row, tenant_id: TenantId, subject: str) -> Evidence:
    return Evidence(tenant_id, row["evidence"], subject, row["occurred_at"], row["recorded_at"], row["recorded_by"])


def _milestone_of_row(row: Row) -> Milestone:
    return _milestone(row, TenantId(row["tenant_id"]), row["subject"])


def _milestone(row: Row, tenant_id: TenantId, subject: str) -> Milestone:
    error = row["last_error"]
    return Milestone(
        tenant_id,
        row["name"],
        subject,
        row["state"],
        ScheduleId(row["schedule_id"]),
        row["due_at"],
        row["next_at"],
        row["attempts_count"],
        row["attempts_total"],
        row["retry_delay_seconds"],
        row["backoff_until"],
        row["last_attempt_at"],
        row["last_run_at"],
        row["generated_at"],
        None if error is None else msgspec.convert(error, MilestoneError),
        None if row["run_id"] is None else RunId(row["run_id"]),
        row["held_since"],
    )
