"""Calendars in PostgreSQL, through the api login and its tenant's row-level security.

Lock order: the calendar's row, then the schedules that use it by id, then their triggers. Those are taken some at a
time, so that planning them, which is done in a thread, leaves no statement waiting for long.
"""

import asyncio
from collections.abc import Iterable

import asyncpg
import msgspec

from rota.domain.calendar import CALENDARS_PER_TENANT_MAX, CalendarDays, CalendarRecord, NamedCalendar
from rota.domain.errors import not_found
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import TriggerState
from rota.domain.tenancy import AuditEntry
from rota.ports.calendar_store import CalendarUser, Replan
from rota.storage.calendar_refusals import (
    calendar_event,
    calendar_in_use,
    calendar_version_mismatch,
    too_many_calendars,
)
from rota.storage.page_cursor import decode_cursor
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.calendar_uses import named_calendar
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_READ_CALENDAR = query("calendars/read_calendar")
_LOCK_CALENDAR = query("calendars/lock_calendar")
_FIND_NAMED = query("calendars/find_named")
_INSERT_IF_FREE = query("calendars/insert_if_free")
_UPDATE_LOCKED = query("calendars/update_locked")
_DELETE_LOCKED = query("calendars/delete_locked")
_LOCK_USERS = query("calendars/lock_users")
_READ_TRIGGERS = query("calendars/read_triggers")
_REPLAN_USERS = query("calendars/replan_users")
_PAGE_CALENDARS = query("calendars/page_calendars")

USERS_AT_ONCE = 200
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"

_DAYS: msgspec.json.Decoder[CalendarDays] = msgspec.json.Decoder(CalendarDays)
_TRIGGERS: msgspec.json.Decoder[tuple[TriggerState, ...]] = msgspec.json.Decoder(tuple[TriggerState, ...])


class PostgresCalendarStore:
    """See `rota.ports.calendar_store.CalendarStore`. A test may lower `calendars_max`."""

    def __init__(self, api_pool: Pool, calendars_max: int = CALENDARS_PER_TENANT_MAX) -> None:
        self._pool = api_pool
        self._calendars_max = calendars_max

    async def get(self, tenant_id: TenantId, name: str) -> CalendarRecord:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                return await _read(connection, tenant_id, name)

    async def find_named(self, tenant_id: TenantId, names: Iterable[str]) -> tuple[NamedCalendar, ...]:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_FIND_NAMED, tenant_id, list(names))
        return tuple(sorted((named_calendar(row) for row in rows), key=lambda one: one.name))

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[CalendarRecord]:
        (after,) = ("",) if page.cursor is None else decode_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_PAGE_CALENDARS, tenant_id, after, page.limit + 1, offset)
        return page_of_rows(rows, page, _record, lambda calendar: (calendar.name,))

    async def create_if_free(
        self, tenant_id: TenantId, name: str, days: CalendarDays, audit: AuditEntry
    ) -> CalendarRecord | None:
        written = msgspec.json.encode(days).decode()
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                try:
                    row = await connection.fetchrow(
                        _INSERT_IF_FREE, tenant_id, name, written, audit.actor, self._calendars_max
                    )
                except asyncpg.ForeignKeyViolationError as error:
                    raise not_found("tenant", tenant_id) from error
                if row is None:
                    if await connection.fetchrow(_LOCK_CALENDAR, tenant_id, name) is None:
                        raise too_many_calendars()
                    return None
                await refuse_revoked_tenant(connection, tenant_id)
                await insert_events(connection, [calendar_event("CalendarCreated", tenant_id, name, audit.actor)])
                await insert_audit(connection, tenant_id, audit)
                return await _read(connection, tenant_id, name)

    async def change(
        self,
        named: tuple[TenantId, str],
        days: CalendarDays,
        expected_version: int | None,
        replan: Replan,
        audit: AuditEntry,
    ) -> CalendarRecord:
        tenant_id, name = named
        written = msgspec.json.encode(days).decode()
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                before = await _lock(connection, tenant_id, name, expected_version)
                await refuse_revoked_tenant(connection, tenant_id)
                if _DAYS.decode(before["days"]) == days:
                    return await _read(connection, tenant_id, name)
                version = await connection.fetchval(_UPDATE_LOCKED, tenant_id, name, written, audit.actor)
                calendar = NamedCalendar(name, version, days)
                users_count = await _replan_users(connection, tenant_id, calendar, replan, audit.actor)
                facts = {"version": version, "schedules_count": users_count}
                event = calendar_event("CalendarChanged", tenant_id, name, audit.actor, **facts)
                await insert_events(connection, [event])
                await insert_audit(connection, tenant_id, audit)
                return await _read(connection, tenant_id, name)

    async def delete_if_unused(
        self, tenant_id: TenantId, name: str, expected_version: int | None, audit: AuditEntry
    ) -> None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await _lock(connection, tenant_id, name, expected_version)
                await refuse_revoked_tenant(connection, tenant_id)
                if await connection.fetchrow(_DELETE_LOCKED, tenant_id, name) is None:
                    calendar = await _read(connection, tenant_id, name)
                    raise calendar_in_use(name, calendar.schedules_count)
                await insert_events(connection, [calendar_event("CalendarDeleted", tenant_id, name, audit.actor)])
                await insert_audit(connection, tenant_id, audit)


async def _read(connection: Connection, tenant_id: TenantId, name: str) -> CalendarRecord:
    row = await connection.fetchrow(_READ_CALENDAR, tenant_id, name)
    if row is None:
        raise not_found("calendar", name)
    return _record(row)


async def _lock(connection: Connection, tenant_id: TenantId, name: str, expected_version: int | None) -> Row:
    row = await connection.fetchrow(_LOCK_CALENDAR, tenant_id, name)
    if row is None:
        raise not_found("calendar", name)
    if expected_version is not None and row["version"] != expected_version:
        raise calendar_version_mismatch(expected_version, row["version"])
    return row


async def _replan_users(
    connection: Connection, tenant_id: TenantId, calendar: NamedCalendar, replan: Replan, actor: str
) -> int:
    """How many schedules use the calendar."""
    after, count = _BEFORE_ALL, 0
    while True:
        locked = await connection.fetch(_LOCK_USERS, tenant_id, calendar.name, after, USERS_AT_ONCE)
        if not locked:
            return count
        ids = [row["id"] for row in locked]
        stored = await connection.fetch(_READ_TRIGGERS, tenant_id, ids)
        triggers = {row["schedule_id"]: _TRIGGERS.decode(row["triggers"]) for row in stored}
        now = locked[0]["now"]
        users = [CalendarUser(ScheduleId(row["id"]), row["enabled"], triggers.get(row["id"], ())) for row in locked]
        planned = [one for several in await asyncio.to_thread(replan, calendar, users, now) for one in several]
        await connection.execute(_REPLAN_USERS, tenant_id, ids, msgspec.json.encode(planned).decode(), actor)
        after, count = ids[-1], count + len(ids)


def _record(row: Row) -> CalendarRecord:
    return CalendarRecord(
        name=row["name"],
        tenant_id=row["tenant_id"],
        version=row["version"],
        days=_DAYS.decode(row["days"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
        schedules_count=row["schedules_count"],
    )
