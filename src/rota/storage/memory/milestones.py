"""Evidence and milestones in memory: the oracle of `rota.storage.postgres.milestones`.

Definitions are read off the schedules; the ends of attempts are applied, with their own times, before anything else.
"""

from collections.abc import Iterable
from datetime import timedelta

from msgspec import structs

from rota.core.flags import off_words
from rota.core.milestones import definitions_of, due_at, milestone_event
from rota.domain.errors import not_found
from rota.domain.flag import MILESTONES
from rota.domain.ids import TenantId
from rota.domain.milestone import (
    FOLLOWER,
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
from rota.domain.tenancy import AuditEntry
from rota.ports.milestone_store import DecideStep, MilestoneFigures, MilestoneFilter, MilestoneNeed, SubjectLook
from rota.ports.run_ends import RunEnd
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import page_of
from rota.storage.memory.run_intake import store_drafts
from rota.storage.memory.tenants import open_tenant
from rota.storage.milestone_refusals import evidence_event, evidence_exists
from rota.storage.page_cursor import decode_cursor

RETRY_AFTER_SECONDS_MAX = 86_400.0
BACKING_OFF_LONG = timedelta(hours=2)
FIGURES_SPAN = timedelta(hours=24)


class MemoryEvidenceStore:
    """See `rota.ports.milestone_store.EvidenceStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._tables = database.milestones_state

    async def record_once(self, evidence: Evidence, audit: AuditEntry) -> tuple[Evidence, bool]:
        open_tenant(self._database, evidence.tenant_id)
        key = (evidence.tenant_id, evidence.kind, evidence.subject)
        known = self._tables.evidence.get(key)
        if known is not None:
            if known.occurred_at != evidence.occurred_at:
                raise evidence_exists(known)
            return known, False
        recorded = structs.replace(evidence, recorded_at=self._database.now())
        self._tables.evidence[key] = recorded
        self._database.record_events([evidence_event(recorded, audit)])
        self._database.record_audit(evidence.tenant_id, audit)
        for definition in definitions_of_tenant(self._database, evidence.tenant_id):
            if definition.evidence == evidence.kind:
                _plan(self._database, definition, recorded)
        return recorded, True

    async def get(self, tenant_id: TenantId, kind: str, subject: str) -> Evidence:
        found = self._tables.evidence.get((tenant_id, kind, subject))
        if found is None:
            raise not_found("evidence", f"{kind}/{subject}")
        return found

    async def page(self, tenant_id: TenantId, kind: str | None, page: PageRequest) -> Page[Evidence]:
        after = None if page.cursor is None else decode_cursor(page.cursor, 2)
        every = self._tables.evidence.values()
        found = [one for one in every if one.tenant_id == tenant_id and kind in (None, one.kind)]
        return page_of(sorted(found, key=_evidence_position), _evidence_position, page, after)


class MemoryMilestoneStore:
    """See `rota.ports.milestone_store`: its stores of milestones and of the leader's duties."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._tables = database.milestones_state

    async def change(
        self, tenant_id: TenantId, name: str, subject: str, decide: DecideStep, audit: AuditEntry
    ) -> MilestoneStep:
        _end_attempts(self._database)
        definition = self._definition(tenant_id, name)
        if definition is not None:
            evidence = self._tables.evidence.get((tenant_id, definition.evidence, subject))
            if evidence is not None:
                _plan(self._database, definition, evidence)
        step = decide(self._look(tenant_id, name, subject, definition))
        if step.milestone is None:
            return step
        if step.draft is not None:
            (begun,) = store_drafts(self._database, tenant_id, [step.draft], audit)
            step = structs.replace(step, milestone=structs.replace(step.milestone, run_id=begun.run_id))
        elif step.events:
            self._database.record_audit(tenant_id, audit)
        if step.clears_marker:
            self._tables.markers.pop((tenant_id, name, subject), None)
        if step.events:
            self._database.record_events(step.events)
        if step.milestone is not None:
            self._tables.milestones[(tenant_id, name, subject)] = step.milestone
        return step

    async def look(self, tenant_id: TenantId, subject: str) -> SubjectLook:
        _end_attempts(self._database)
        defined = definitions_of_tenant(self._database, tenant_id)
        in_order = sorted(defined, key=lambda definition: (definition.age_seconds, definition.name))
        looks = tuple(self._look(tenant_id, one.name, subject, one) for one in in_order)
        return SubjectLook(self._database.now(), looks)

    async def page(self, tenant_id: TenantId, where: MilestoneFilter, page: PageRequest) -> Page[Milestone]:
        _end_attempts(self._database)
        after = None if page.cursor is None else decode_cursor(page.cursor, 2)
        found = [one for one in self._tables.milestones.values() if one.tenant_id == tenant_id and _matches(one, where)]
        return page_of(sorted(found, key=_milestone_position), _milestone_position, page, after)

    async def marker(self, tenant_id: TenantId, name: str, subject: str) -> DoneMarker:
        _end_attempts(self._database)
        found = self._tables.markers.get((tenant_id, name, subject))
        if found is None:
            raise not_found("done marker", f"{name}/{subject}")
        return found

    def _definition(self, tenant_id: TenantId, name: str) -> MilestoneDefinition | None:
        return next((one for one in definitions_of_tenant(self._database, tenant_id) if one.name == name), None)

    def _look(
        self, tenant_id: TenantId, name: str, subject: str, definition: MilestoneDefinition | None
    ) -> MilestoneLook:
        schedule = None if definition is None else self._database.schedules[definition.schedule_id]
        key = (tenant_id, name, subject)
        return MilestoneLook(
            tenant_id,
            name,
            subject,
            self._database.now(),
            definition,
            schedule and Generator(schedule.version, schedule.enabled, schedule.target, schedule.policies),
            None if definition is None else self._tables.evidence.get((tenant_id, definition.evidence, subject)),
            self._tables.milestones.get(key),
            key in self._tables.markers,
            off_words(self._database.settings_of(tenant_id), MILESTONES),
        )


class MemoryMilestoneDuties:
    """See `rota.ports.milestone_store.MilestoneDuties`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._tables = database.milestones_state

    async def look(self) -> MilestoneNeed:
        _end_attempts(self._database)
        times = [one.next_at for one in self._tables.milestones.values() if one.next_at is not None]
        next_in = (min(times) - self._database.now()).total_seconds() if times else None
        return MilestoneNeed(next_in, bool(self._tables.walking))

    async def figures(self) -> MilestoneFigures:
        _end_attempts(self._database)
        now, every = self._database.now(), self._tables.milestones.values()
        long_from, since = now + BACKING_OFF_LONG, now - FIGURES_SPAN
        ended = [one for one in every if one.last_run_at is not None and one.last_run_at > since]
        return MilestoneFigures(
            sum(one.backoff_until is not None and one.backoff_until > long_from for one in every),
            len(ended),
            sum(one.last_error is not None for one in ended),
        )

    async def list_due(self, limit: int) -> tuple[DueMilestone, ...]:
        _end_attempts(self._database)
        now = self._database.now()
        every = self._tables.milestones.values()
        due = sorted(
            (one.next_at, one.tenant_id, one.name, one.subject)
            for one in every
            if one.next_at is not None and one.next_at <= now
        )
        return tuple(DueMilestone(tenant_id, name, subject) for _, tenant_id, name, subject in due[:limit])

    async def postpone(self, due: DueMilestone, seconds: float) -> None:
        key, now = (due.tenant_id, due.name, due.subject), self._database.now()
        known = self._tables.milestones.get(key)
        if known is not None and known.next_at is not None and known.next_at <= now:
            later = structs.replace(known, next_at=now + timedelta(seconds=seconds))
            self._tables.milestones[key] = later

    async def walk(self, subjects_max: int) -> int | None:
        _end_attempts(self._database)
        if not self._tables.walking:
            return None
        walked = self._tables.walking.pop(0)
        found = [one for one in definitions_of_tenant(self._database, walked[0]) if one.name == walked[1]]
        count = 0
        for definition in found:
            for evidence in _evidence_for(self._tables.evidence.values(), definition):
                count += 1
                _plan(self._database, definition, evidence)
                _time(self._database, definition, evidence)
        return min(count, subjects_max)


def walk_anew(database: MemoryDatabase, tenant_id: TenantId | None) -> None:
    """Every definition of the tenant, or (None) of all, walks through its evidence again."""
    for owner in sorted(database.tenants) if tenant_id is None else [tenant_id]:
        walking = database.milestones_state.walking
        names = [(owner, one.name) for one in definitions_of_tenant(database, owner)]
        walking.extend(name for name in names if name not in walking)


def definitions_of_tenant(database: MemoryDatabase, tenant_id: TenantId) -> list[MilestoneDefinition]:
    mine = (schedule for schedule in database.schedules.values() if schedule.tenant_id == tenant_id)
    return [definition for schedule in mine for definition in definitions_of(schedule)]


def _plan(database: MemoryDatabase, definition: MilestoneDefinition, evidence: Evidence) -> None:
    """A milestone that waits for its time, where there is none yet."""
    due = due_at(definition, evidence)
    key = (definition.tenant_id, definition.name, evidence.subject)
    planned = Milestone(*key, "waiting", definition.schedule_id, due, due)
    database.milestones_state.milestones.setdefault(key, planned)


def _time(database: MemoryDatabase, definition: MilestoneDefinition, evidence: Evidence) -> None:
    """What waits gets its time by the definition as it is now."""
    milestones = database.milestones_state.milestones
    key = (definition.tenant_id, definition.name, evidence.subject)
    known, due = milestones[key], due_at(definition, evidence)
    if known.state == "waiting":
        until = max(due, known.backoff_until or due)
        milestones[key] = structs.replace(known, schedule_id=definition.schedule_id, due_at=due, next_at=until)


def _evidence_for(every: Iterable[Evidence], definition: MilestoneDefinition) -> list[Evidence]:
    return [one for one in every if one.tenant_id == definition.tenant_id and one.kind == definition.evidence]


def _end_attempts(database: MemoryDatabase) -> None:
    """What the database's trigger does in the transaction that ends a run."""
    runs = database.runs_state
    ended = [end for follower, end in runs.ends if follower == FOLLOWER]
    runs.ends = [(follower, end) for follower, end in runs.ends if follower != FOLLOWER]
    for end in ended:
        _end_attempt(database, end)


def _end_attempt(database: MemoryDatabase, end: RunEnd) -> None:
    milestones = database.milestones_state.milestones
    found = [(key, one) for key, one in milestones.items() if one.run_id == end.run_id and one.state == "in_progress"]
    for key, milestone in found:
        record = database.runs_state.records[end.run_id]
        if end.state == "succeeded":
            ended = structs.replace(
                milestone, state="done", generated_at=end.ended_at, last_error=None, last_run_at=end.ended_at
            )
            marker = DoneMarker(*key, end.run_id, end.ended_at, milestone.attempts_count, record.result)
            database.milestones_state.markers.setdefault(key, marker)
        else:
            asked = (record.error and record.error.retry_after_seconds) or 0.0
            delay = max(milestone.retry_delay_seconds, min(asked, RETRY_AFTER_SECONDS_MAX))
            until = end.ended_at + timedelta(seconds=delay)
            error = record.error
            ended = structs.replace(
                milestone,
                state="waiting",
                last_run_at=end.ended_at,
                generated_at=None,
                last_error=MilestoneError(error.message, error.type, error.failure_class)
                if error
                else MilestoneError(record.reason),
                backoff_until=until,
                next_at=until,
            )
        milestones[key] = ended
        _tell_end(database, ended)


def _tell_end(database: MemoryDatabase, ended: Milestone) -> None:
    data = {
        "run_id": ended.run_id,
        "attempt": ended.attempts_count,
        "backoff_until": ended.backoff_until,
        "error": ended.last_error and ended.last_error.message,
    }
    event_type = "MilestoneGenerated" if ended.state == "done" else "MilestoneAttemptFailed"
    database.record_events([milestone_event(event_type, ended, "", data)])


def _matches(one: Milestone, where: MilestoneFilter) -> bool:
    return where.subject in (None, one.subject) and where.name in (None, one.name) and where.state in (None, one.state)


def _evidence_position(one: Evidence) -> tuple[str, str]:
    return one.kind, one.subject


def _milestone_position(one: Milestone) -> tuple[str, str]:
    return one.subject, one.name
