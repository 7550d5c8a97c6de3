"""Schedules in memory: the oracle of `rota.storage.postgres.schedules`."""

from collections.abc import Sequence

import msgspec
from msgspec import structs

from rota.core.milestones import definitions_of
from rota.domain.calendar import CALENDAR_SCHEDULES_MAX
from rota.domain.errors import Bug, not_found
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.milestone import MILESTONES_PER_TENANT_MAX
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import Schedule, TriggerState
from rota.ports.schedule_store import ScheduleChange, ScheduleFilter
from rota.storage.calendar_refusals import named_by, refuse_outdated, too_many_users
from rota.storage.event_drafts import drafts_of_tenant
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import counted_page_of
from rota.storage.memory.tenants import open_tenant
from rota.storage.milestone_refusals import milestone_names_taken, names_given_twice, quota_exceeded
from rota.storage.page_cursor import decode_counted_cursor
from rota.storage.schedule_refusals import ID_GIVEN_TWICE, names_taken, version_mismatch


class MemoryScheduleStore:
    """See `rota.ports.schedule_store.ScheduleStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def insert_many(self, tenant_id: TenantId, schedules: Sequence[Schedule], change: ScheduleChange) -> None:
        events = drafts_of_tenant(change.events, tenant_id)
        if any(schedule.tenant_id != tenant_id for schedule in schedules):
            raise Bug(f"a schedule of another tenant among those of {tenant_id!r}")
        open_tenant(self._database, tenant_id)
        self._refuse_taken_names(tenant_id, schedules)
        self._refuse_known_ids(schedules)
        self._refuse_outdated_calendars(tenant_id, schedules)
        self._keep_milestones(tenant_id, schedules)
        self._database.record_events(events)
        self._database.record_audit(tenant_id, change.audit)
        self._database.schedules.update({schedule.id: schedule for schedule in schedules})

    async def get(self, tenant_id: TenantId, schedule_id: ScheduleId) -> Schedule:
        found = self._database.schedules.get(schedule_id)
        if found is None or found.tenant_id != tenant_id:
            raise not_found("schedule", schedule_id)
        return found

    async def find_by_name(self, tenant_id: TenantId, name: str) -> Schedule | None:
        return next((s for s in self._live(tenant_id) if s.name == name), None)

    async def page(self, tenant_id: TenantId, where: ScheduleFilter, page: PageRequest) -> Page[Schedule]:
        total, after = (None, None) if page.cursor is None else decode_counted_cursor(page.cursor, 2)
        found = [s for s in self._database.schedules.values() if s.tenant_id == tenant_id and _matches(s, where)]
        return counted_page_of(sorted(found, key=_position), _position, page, after, total)

    async def save_if_version(self, schedule: Schedule, expected_version: int, change: ScheduleChange) -> Schedule:
        events = drafts_of_tenant(change.events, schedule.tenant_id)
        stored = await self.get(schedule.tenant_id, schedule.id)
        open_tenant(self._database, schedule.tenant_id)
        if stored.version != expected_version:
            raise version_mismatch(expected_version, stored.version)
        if schedule.deleted_at is None and any(
            other.name == schedule.name and other.id != schedule.id for other in self._live(schedule.tenant_id)
        ):
            raise names_taken(1, [(0, schedule.name)])
        self._refuse_foreign_triggers(schedule)
        self._refuse_outdated_calendars(schedule.tenant_id, (schedule,))
        saved = structs.replace(
            schedule,
            version=expected_version + 1,
            created_at=stored.created_at,
            created_by=stored.created_by,
            triggers=_with_progress(stored, schedule.triggers),
        )
        self._keep_milestones(schedule.tenant_id, [schedule])
        self._database.record_events(events)
        self._database.record_audit(schedule.tenant_id, change.audit)
        self._database.schedules[schedule.id] = saved
        return saved

    async def clock(self) -> str:
        return str(msgspec.to_builtins(self._database.now()))

    def _live(self, tenant_id: TenantId) -> list[Schedule]:
        return [s for s in self._database.schedules.values() if s.tenant_id == tenant_id and s.deleted_at is None]

    def _refuse_taken_names(self, tenant_id: TenantId, schedules: Sequence[Schedule]) -> None:
        names = {schedule.name for schedule in self._live(tenant_id)}
        taken: list[tuple[int, str]] = []
        for position, schedule in enumerate(schedules):
            if schedule.name in names:
                taken.append((position, schedule.name))
            names.add(schedule.name)
        if taken:
            raise names_taken(len(schedules), taken)

    def _keep_milestones(self, tenant_id: TenantId, schedules: Sequence[Schedule]) -> None:
        """Their names are unique in the tenant; what was saved walks through the evidence anew."""
        given = {schedule.id for schedule in schedules}
        others = {
            definition.name
            for other in self._live(tenant_id)
            if other.id not in given
            for definition in definitions_of(other)
        }
        names = [definition.name for schedule in schedules for definition in definitions_of(schedule)]
        taken = names_given_twice(schedules) | (others & set(names))
        if taken:
            raise milestone_names_taken(schedules, taken)
        if len(others) + len(names) > MILESTONES_PER_TENANT_MAX:
            raise quota_exceeded()
        walking = self._database.milestones_state.walking
        walking += [(tenant_id, name) for name in names if (tenant_id, name) not in walking]

    def _refuse_known_ids(self, schedules: Sequence[Schedule]) -> None:
        ids = [schedule.id for schedule in schedules]
        if len(set(ids)) < len(ids) or not self._database.schedules.keys().isdisjoint(ids):
            raise Bug(ID_GIVEN_TWICE)
        for schedule in schedules:
            self._refuse_foreign_triggers(schedule)

    def _refuse_outdated_calendars(self, tenant_id: TenantId, schedules: Sequence[Schedule]) -> None:
        used = named_by(schedules)
        stored = [self._database.calendars.get((tenant_id, name)) for name in used]
        refuse_outdated(tuple(used.values()), [one.named for one in stored if one is not None])
        for name in used:
            others = (one for one in self._database.schedules.values() if one.tenant_id == tenant_id)
            users = {one.id for one in (*others, *schedules) if name in named_by((one,))}
            if len(users) > CALENDAR_SCHEDULES_MAX:
                raise too_many_users(name)

    def _refuse_foreign_triggers(self, schedule: Schedule) -> None:
        given = {trigger.id for trigger in schedule.triggers}
        others = (other for other in self._database.schedules.values() if other.id != schedule.id)
        known = {trigger.id for other in others for trigger in other.triggers}
        if len(given) < len(schedule.triggers) or not known.isdisjoint(given):
            raise Bug(ID_GIVEN_TWICE)


def _position(schedule: Schedule) -> tuple[str, str]:
    return schedule.name, schedule.id


def _matches(schedule: Schedule, where: ScheduleFilter) -> bool:
    return (
        (schedule.deleted_at is not None) == where.deleted
        and (where.name is None or schedule.name == where.name)
        and (where.name_prefix is None or schedule.name.startswith(where.name_prefix))
        and (where.enabled is None or schedule.enabled == where.enabled)
        and (where.needs_intervention is None or schedule.needs_intervention == where.needs_intervention)
        and (where.label is None or schedule.labels.get(where.label[0]) == where.label[1])
    )


def _with_progress(stored: Schedule, given: Sequence[TriggerState]) -> tuple[TriggerState, ...]:
    """The given triggers, those that are stored already with the progress that the leader made."""
    known = {trigger.id: trigger for trigger in stored.triggers}
    return tuple(
        trigger if (kept := known.get(trigger.id)) is None else _kept(kept, trigger, was_firing=stored.enabled)
        for trigger in given
    )


def _kept(stored: TriggerState, given: TriggerState, *, was_firing: bool) -> TriggerState:
    overtaken = (
        was_firing
        and given.spec == stored.spec
        and given.next_fire_at is not None
        and stored.fired_through is not None
        and given.next_fire_at <= stored.fired_through
    )
    return structs.replace(
        given,
        next_fire_at=stored.next_fire_at if overtaken else given.next_fire_at,
        fired_through=stored.fired_through,
        fires_count=stored.fires_count,
    )
