"""Calendars in memory: the oracle of `rota.storage.postgres.calendars`."""

from collections.abc import Iterable

from msgspec import structs

from rota.domain.calendar import CALENDARS_PER_TENANT_MAX, CalendarDays, CalendarRecord, NamedCalendar
from rota.domain.errors import not_found
from rota.domain.ids import TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.ports.calendar_store import CalendarUser, Replan
from rota.storage.calendar_refusals import (
    calendar_event,
    calendar_in_use,
    calendar_version_mismatch,
    named_by,
    too_many_calendars,
)
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import page_of
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_cursor


class MemoryCalendarStore:
    """See `rota.ports.calendar_store.CalendarStore`. A test may lower `calendars_max`."""

    def __init__(self, database: MemoryDatabase, calendars_max: int = CALENDARS_PER_TENANT_MAX) -> None:
        self._database = database
        self._calendars_max = calendars_max

    async def get(self, tenant_id: TenantId, name: str) -> CalendarRecord:
        found = self._database.calendars.get((tenant_id, name))
        if found is None:
            raise not_found("calendar", name)
        return structs.replace(found, schedules_count=len(self._users(tenant_id, name)))

    async def find_named(self, tenant_id: TenantId, names: Iterable[str]) -> tuple[NamedCalendar, ...]:
        found = (self._database.calendars.get((tenant_id, name)) for name in sorted(set(names)))
        return tuple(one.named for one in found if one is not None)

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[CalendarRecord]:
        after = None if page.cursor is None else decode_cursor(page.cursor, 1)
        names = sorted(name for owner, name in self._database.calendars if owner == tenant_id)
        mine = [await self.get(tenant_id, name) for name in names]
        return page_of(mine, lambda calendar: (calendar.name,), page, after)

    async def create_if_free(
        self, tenant_id: TenantId, name: str, days: CalendarDays, audit: AuditEntry
    ) -> CalendarRecord | None:
        if (tenant_id, name) in self._database.calendars:
            return None
        open_tenant(self._database, tenant_id)
        if sum(1 for owner, _ in self._database.calendars if owner == tenant_id) >= self._calendars_max:
            raise too_many_calendars()
        now = self._database.now()
        made = CalendarRecord(name, tenant_id, 1, days, now, audit.actor, now, audit.actor)
        self._database.calendars[tenant_id, name] = made
        self._database.record_events([calendar_event("CalendarCreated", tenant_id, name, audit.actor)])
        self._database.record_audit(tenant_id, audit)
        return made

    async def change(
        self,
        named: tuple[TenantId, str],
        days: CalendarDays,
        expected_version: int | None,
        replan: Replan,
        audit: AuditEntry,
    ) -> CalendarRecord:
        tenant_id, name = named
        before = await self._expected(tenant_id, name, expected_version)
        open_tenant(self._database, tenant_id)
        if before.days == days:
            return before
        now, actor = self._database.now(), audit.actor
        after = structs.replace(before, version=before.version + 1, days=days, updated_at=now, updated_by=actor)
        users = sorted(self._users(tenant_id, name), key=lambda schedule: schedule.id)
        asked = [CalendarUser(schedule.id, schedule.enabled, schedule.triggers) for schedule in users]
        planned = replan(after.named, asked, now)
        self._database.calendars[tenant_id, name] = after
        for schedule, triggers in zip(users, planned, strict=True):
            self._database.schedules[schedule.id] = structs.replace(
                schedule, version=schedule.version + 1, triggers=triggers, updated_at=now, updated_by=actor
            )
        facts = {"version": after.version, "schedules_count": len(users)}
        self._database.record_events([calendar_event("CalendarChanged", tenant_id, name, actor, **facts)])
        self._database.record_audit(tenant_id, audit)
        return after

    async def delete_if_unused(
        self, tenant_id: TenantId, name: str, expected_version: int | None, audit: AuditEntry
    ) -> None:
        before = await self._expected(tenant_id, name, expected_version)
        open_tenant(self._database, tenant_id)
        if before.schedules_count:
            raise calendar_in_use(name, before.schedules_count)
        del self._database.calendars[tenant_id, name]
        self._database.record_events([calendar_event("CalendarDeleted", tenant_id, name, audit.actor)])
        self._database.record_audit(tenant_id, audit)

    async def _expected(self, tenant_id: TenantId, name: str, expected_version: int | None) -> CalendarRecord:
        found = await self.get(tenant_id, name)
        if expected_version is not None and found.version != expected_version:
            raise calendar_version_mismatch(expected_version, found.version)
        return found

    def _users(self, tenant_id: TenantId, name: str) -> list[Schedule]:
        mine = (schedule for schedule in self._database.schedules.values() if schedule.tenant_id == tenant_id)
        return [schedule for schedule in mine if name in named_by((schedule,))]
