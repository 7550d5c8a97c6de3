"""Schedules of one tenant, through the api login: reading, and compare-and-swap writing with events and audit.

Lock order: the calendars that it names, the schedule's row, then its triggers'. The leader shares the schedule's lock
while it fires and passes over a schedule that is being changed; a change that comes while it fires waits, and keeps the
progress that it made, also where the change was decided before (`replace_triggers`).
"""

from collections.abc import Sequence

import asyncpg
import msgspec

from rota.domain.errors import Bug, not_found
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.intervention import Intervention
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import Schedule, TriggerState
from rota.domain.targets import Target
from rota.ports.schedule_store import ScheduleChange, ScheduleFilter
from rota.storage.event_drafts import drafts_of_tenant
from rota.storage.page_cursor import decode_counted_cursor, is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.calendar_uses import hold_calendars, replace_uses
from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.milestone_definitions import keep_definitions
from rota.storage.postgres.query_files import query
from rota.storage.postgres.stored_policies import policies_of_text
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text
from rota.storage.schedule_refusals import ID_GIVEN_TWICE, names_taken, tenant_revoked, version_mismatch

_INSERT_IF_NAMES_FREE = query("schedules/insert_if_names_free")
_READ_SCHEDULE = query("schedules/read_schedule")
_FIND_BY_NAME = query("schedules/find_by_name")
_PAGE_LIVE = query("schedules/page_live")
_PAGE_PAUSED = query("schedules/page_paused")
_PAGE_DELETED = query("schedules/page_deleted")
_PAGE_NEEDING = query("schedules/page_needing")
_LOCK_SCHEDULE = query("schedules/lock_schedule")
_SAVE_LOCKED = query("schedules/save_locked")
_REPLACE_TRIGGERS = query("schedules/replace_triggers")
_READ_CLOCK = query("schedules/read_clock")

_LIVE_NAME_INDEX = "schedules_live_name"

# Behind every name that begins with what it is appended to: an index entry is shorter than this.
_NAME_TAIL_MAX = "\U0010ffff" * 700
_BEFORE_ALL = ("", "00000000-0000-0000-0000-000000000000")

_LABELS: msgspec.json.Decoder[dict[str, str]] = msgspec.json.Decoder(dict[str, str])
_TARGET: msgspec.json.Decoder[Target] = msgspec.json.Decoder(Target)
_INTERVENTION: msgspec.json.Decoder[Intervention] = msgspec.json.Decoder(Intervention)
_TRIGGERS: msgspec.json.Decoder[tuple[TriggerState, ...]] = msgspec.json.Decoder(tuple[TriggerState, ...])


class PostgresScheduleStore:
    """See `rota.ports.schedule_store.ScheduleStore`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def insert_many(self, tenant_id: TenantId, schedules: Sequence[Schedule], change: ScheduleChange) -> None:
        events = drafts_of_tenant(change.events, tenant_id)
        if any(schedule.tenant_id != tenant_id for schedule in schedules):
            raise Bug(f"a schedule of another tenant among those of {tenant_id!r}")
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await insert_schedules(connection, tenant_id, schedules)
                await insert_events(connection, events)
                await insert_audit(connection, tenant_id, change.audit)

    async def get(self, tenant_id: TenantId, schedule_id: ScheduleId) -> Schedule:
        if not is_uuid(schedule_id):
            raise not_found("schedule", schedule_id)
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await read_schedule(connection, tenant_id, schedule_id)

    async def find_by_name(self, tenant_id: TenantId, name: str) -> Schedule | None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                row = await connection.fetchrow(_FIND_BY_NAME, tenant_id, name)
        return None if row is None else _schedule(row)

    async def page(self, tenant_id: TenantId, where: ScheduleFilter, page: PageRequest) -> Page[Schedule]:
        total, after = (None, _BEFORE_ALL) if page.cursor is None else decode_counted_cursor(page.cursor, 2)
        arguments = (
            *_name_range(where),
            where.enabled,
            msgspec.json.encode(dict([where.label])).decode() if where.label else None,
            *after,
            page.limit + 1,
            page.offset if page.cursor is None else 0,
            total,
            page.count_max,
            where.needs_intervention,
        )
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_page_query(where), tenant_id, *arguments)
        counted = str(rows[0]["total_count"])
        return page_of_rows(rows, page, _schedule, lambda schedule: (counted, schedule.name, schedule.id))

    async def save_if_version(self, schedule: Schedule, expected_version: int, change: ScheduleChange) -> Schedule:
        tenant_id = schedule.tenant_id
        events = drafts_of_tenant(change.events, tenant_id)
        if len({trigger.id for trigger in schedule.triggers}) < len(schedule.triggers):
            raise Bug(ID_GIVEN_TWICE)
        if not is_uuid(schedule.id):
            raise not_found("schedule", schedule.id)
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await save_schedule_if_version(connection, schedule, expected_version)
                await insert_events(connection, events)
                await insert_audit(connection, tenant_id, change.audit)
                return await read_schedule(connection, tenant_id, schedule.id)

    async def clock(self) -> str:
        async with transaction(self._pool, readonly=True, doing="reading the clock") as connection:
            return str(msgspec.to_builtins(await connection.fetchval(_READ_CLOCK)))


async def insert_schedules(connection: Connection, tenant_id: TenantId, schedules: Sequence[Schedule]) -> None:
    """Inside the caller's transaction; raises as `ScheduleStore.insert_many` does."""
    uses_calendars = await hold_calendars(connection, tenant_id, schedules)
    stored = await _insert(connection, tenant_id, schedules)
    await refuse_revoked_tenant(connection, tenant_id)
    _refuse_names_not_stored(schedules, stored)
    if uses_calendars:
        await replace_uses(connection, tenant_id, schedules)
    await keep_definitions(connection, tenant_id, schedules, are_new=True)


async def save_schedule_if_version(connection: Connection, schedule: Schedule, expected_version: int) -> None:
    """Inside the caller's transaction; raises as `ScheduleStore.save_if_version` does. Takes the calendars, then the
    schedule: who holds a schedule's row already may not call it.
    """
    uses_calendars = await hold_calendars(connection, schedule.tenant_id, (schedule,))
    before = await _lock(connection, schedule, expected_version)
    await _save_locked(connection, schedule, was_enabled=before["enabled"])
    if uses_calendars or before["uses_calendars"]:
        await replace_uses(connection, schedule.tenant_id, (schedule,))
    await keep_definitions(connection, schedule.tenant_id, (schedule,), are_new=False)


async def _insert(connection: Connection, tenant_id: TenantId, schedules: Sequence[Schedule]) -> set[str]:
    """The ids that were stored."""
    try:
        rows = await connection.fetch(_INSERT_IF_NAMES_FREE, tenant_id, msgspec.json.encode(schedules).decode())
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", tenant_id) from error
    except asyncpg.UniqueViolationError as error:
        raise Bug(ID_GIVEN_TWICE) from error
    return {str(row["id"]) for row in rows}


def _refuse_names_not_stored(schedules: Sequence[Schedule], stored: set[str]) -> None:
    taken = [(position, item.name) for position, item in enumerate(schedules) if item.id not in stored]
    if taken:
        raise names_taken(len(schedules), taken)


async def read_schedule(connection: Connection, tenant_id: TenantId, schedule_id: ScheduleId) -> Schedule:
    row = await connection.fetchrow(_READ_SCHEDULE, tenant_id, schedule_id)
    if row is None:
        raise not_found("schedule", schedule_id)
    return _schedule(row)


async def _lock(connection: Connection, schedule: Schedule, expected_version: int) -> Row:
    """Whether the schedule is enabled and uses calendars, with its row locked at the expected version."""
    row = await connection.fetchrow(_LOCK_SCHEDULE, schedule.tenant_id, schedule.id)
    if row is None:
        raise not_found("schedule", schedule.id)
    if row["revoked_at"] is not None:
        raise tenant_revoked(schedule.tenant_id)
    if row["version"] != expected_version:
        raise version_mismatch(expected_version, row["version"])
    return row


async def _save_locked(connection: Connection, schedule: Schedule, *, was_enabled: bool) -> None:
    triggers = msgspec.json.encode(schedule.triggers).decode()
    try:
        await connection.execute(_SAVE_LOCKED, schedule.tenant_id, msgspec.json.encode(schedule).decode())
        await connection.execute(_REPLACE_TRIGGERS, schedule.tenant_id, schedule.id, triggers, was_enabled)
    except asyncpg.UniqueViolationError as error:
        if _LIVE_NAME_INDEX in str(error):
            raise names_taken(1, [(0, schedule.name)]) from error
        raise Bug(ID_GIVEN_TWICE) from error


def _page_query(where: ScheduleFilter) -> str:
    if where.deleted:
        return _PAGE_DELETED
    if where.needs_intervention:
        return _PAGE_NEEDING
    return _PAGE_PAUSED if where.enabled is False else _PAGE_LIVE


def _name_range(where: ScheduleFilter) -> tuple[str, str]:
    """First and last name that the filter admits, by code point; the first behind the last where it admits none."""
    prefix = where.name_prefix or ""
    if where.name is None:
        return prefix, prefix + _NAME_TAIL_MAX
    return (where.name, where.name) if where.name.startswith(prefix) else ("~", "")


def _schedule(row: Row) -> Schedule:
    return Schedule(
        id=ScheduleId(str(row["id"])),
        tenant_id=row["tenant_id"],
        name=row["name"],
        version=row["version"],
        enabled=row["enabled"],
        triggers=_TRIGGERS.decode(row["triggers"] or "[]"),
        target=_TARGET.decode(row["target"]),
        policies=policies_of_text(row["policies"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
        description=row["description"],
        labels=_LABELS.decode(row["labels"]),
        paused_reason=row["paused_reason"],
        needs_intervention=row["needs_intervention"],
        intervention=None if row["intervention"] is None else _INTERVENTION.decode(row["intervention"]),
        deleted_at=row["deleted_at"],
        deleted_by=row["deleted_by"],
    )
