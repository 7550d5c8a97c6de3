"""Templates and bindings in PostgreSQL, through the api login and row-level security.

Lock order: the binding's row, then what a change of its schedule takes. Nobody who holds a schedule asks for a binding.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import structs

from rota.domain.binding import (
    BINDINGS_PER_TENANT_MAX,
    TEMPLATES_PER_TENANT_MAX,
    Binding,
    BindingChange,
    BindingKey,
    Bound,
    RecordedChange,
    ScheduleTemplate,
)
from rota.domain.errors import DomainError, not_found
from rota.domain.flag import RECONCILE
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import Schedule
from rota.ports.binding_store import BindingFilter, OnBound
from rota.storage.binding_refusals import bindings_exceeded, put_refused, template_in_use, templates_exceeded
from rota.storage.event_drafts import drafts_of_tenant
from rota.storage.page_cursor import decode_cursor
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.flags import shared_off_words
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.schedules import (
    insert_schedules,
    read_schedule,
    save_schedule_if_version,
)
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_LOCK_TEMPLATES_QUOTA = query("schedule_templates/lock_quota")
_COUNT_TEMPLATES = query("schedule_templates/count_of_tenant")
_INSERT_TEMPLATE = query("schedule_templates/insert_if_free")
_SAVE_TEMPLATE = query("schedule_templates/save_if_version")
_READ_TEMPLATE = query("schedule_templates/read_template")
_DELETE_TEMPLATE = query("schedule_templates/delete_template")
_PAGE_TEMPLATES = query("schedule_templates/page_templates")
_LOCK_BINDINGS_QUOTA = query("bindings/lock_quota")
_COUNT_BINDINGS = query("bindings/count_of_tenant")
_INSERT_BINDING = query("bindings/insert_if_free")
_SAVE_BINDING = query("bindings/save_if_revision")
_READ_BINDING = query("bindings/read_binding")
_LOCK_BINDING = query("bindings/lock_binding")
_SAVE_MADE = query("bindings/save_made_locked")
_DELETE_BINDING = query("bindings/delete_locked")
_PAGE_BINDINGS = query("bindings/page_bindings")
_READ_CLOCK = query("schedules/read_clock")


class PostgresTemplateStore:
    """See `rota.ports.binding_store.TemplateStore`. A test may lower `templates_max`."""

    def __init__(self, api_pool: Pool, templates_max: int = TEMPLATES_PER_TENANT_MAX) -> None:
        self._pool = api_pool
        self._templates_max = templates_max

    async def get(self, tenant_id: TenantId, name: str) -> ScheduleTemplate:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                return await _read_template(connection, tenant_id, name)

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[ScheduleTemplate]:
        (after,) = ("",) if page.cursor is None else decode_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_PAGE_TEMPLATES, tenant_id, after, page.limit + 1, offset)
        return page_of_rows(rows, page, _template, lambda template: (template.name,))

    async def put_if_version(self, template: ScheduleTemplate, expected_version: int, recorded: RecordedChange) -> None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, template.tenant_id) as connection:
                if expected_version == 0:
                    await self._insert(connection, template)
                elif not await _save_template(connection, template, expected_version):
                    raise put_refused("template", expected_version)
                await _record(connection, template.tenant_id, recorded)

    async def delete(self, tenant_id: TenantId, name: str, recorded: RecordedChange) -> ScheduleTemplate:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                try:
                    row = await connection.fetchrow(_DELETE_TEMPLATE, tenant_id, name)
                except asyncpg.ForeignKeyViolationError as error:
                    raise template_in_use(name) from error
                if row is None:
                    raise not_found("schedule template", name)
                await _record(connection, tenant_id, recorded)
        return _template(row)

    async def _insert(self, connection: Connection, template: ScheduleTemplate) -> None:
        await connection.execute(_LOCK_TEMPLATES_QUOTA, template.tenant_id)
        count = await connection.fetchval(_COUNT_TEMPLATES, template.tenant_id)
        if not await _insert_template(connection, template):
            raise put_refused("template", 0)
        if count >= self._templates_max:
            raise templates_exceeded()


class PostgresBindingStore:
    """See `rota.ports.binding_store.BindingStore`. A test may lower `bindings_max`."""

    def __init__(self, api_pool: Pool, bindings_max: int = BINDINGS_PER_TENANT_MAX) -> None:
        self._pool = api_pool
        self._bindings_max = bindings_max

    async def get(self, tenant_id: TenantId, key: BindingKey) -> Binding:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                return await _read_binding(connection, tenant_id, key)

    async def page(self, tenant_id: TenantId, where: BindingFilter, page: PageRequest) -> Page[Binding]:
        after: Sequence[str] = ("", "") if page.cursor is None else decode_cursor(page.cursor, 2)
        filters = (where.kind, where.subject, where.template, where.state)
        offset = page.offset if page.cursor is None else 0
        bounds = (page.limit + 1, offset, page.count_max)
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_PAGE_BINDINGS, tenant_id, *filters, *after, *bounds)
        return page_of_rows(rows, page, _binding, lambda binding: (binding.key.kind, binding.key.subject))

    async def put_if_revision(self, binding: Binding, expected_revision: int, recorded: RecordedChange) -> None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, binding.tenant_id) as connection:
                try:
                    await self._put(connection, binding, expected_revision)
                except asyncpg.ForeignKeyViolationError as error:
                    raise _unknown_reference(binding, error) from error
                await _record(connection, binding.tenant_id, recorded)

    async def apply(self, tenant_id: TenantId, key: BindingKey, decide: OnBound) -> BindingChange | None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                off = await shared_off_words(connection, tenant_id, RECONCILE)
                bound = structs.replace(await _hold(connection, tenant_id, key), off_because=off)
                now: datetime = await connection.fetchval(_READ_CLOCK)
                change = decide(bound, now)
                if change is not None:
                    await _store(connection, bound, change)
        return change

    async def record(self, tenant_id: TenantId, recorded: RecordedChange) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await _record(connection, tenant_id, recorded)

    async def _put(self, connection: Connection, binding: Binding, expected_revision: int) -> None:
        if expected_revision != 0:
            if not await _save_binding(connection, binding, expected_revision):
                raise put_refused("binding", expected_revision)
            return
        await connection.execute(_LOCK_BINDINGS_QUOTA, binding.tenant_id)
        count = await connection.fetchval(_COUNT_BINDINGS, binding.tenant_id)
        if not await _insert_binding(connection, binding):
            raise put_refused("binding", 0)
        if count >= self._bindings_max:
            raise bindings_exceeded()


async def _hold(connection: Connection, tenant_id: TenantId, key: BindingKey) -> Bound:
    """Everything is read after the lock, so that it is what the one before left."""
    await connection.fetchval(_LOCK_BINDING, tenant_id, key.kind, key.subject)
    binding = await _read_binding(connection, tenant_id, key)
    schedule: Schedule | None = None
    if binding.schedule_id is not None and binding.has_schedule:
        schedule = await read_schedule(connection, tenant_id, binding.schedule_id)
    template = await _read_template(connection, tenant_id, binding.template)
    return Bound(binding, template, schedule)


async def _store(connection: Connection, bound: Bound, change: BindingChange) -> None:
    tenant_id, key = bound.binding.tenant_id, bound.binding.key
    if change.schedule is not None and bound.schedule is None:
        await insert_schedules(connection, tenant_id, (change.schedule,))
    elif change.schedule is not None and bound.schedule is not None:
        await save_schedule_if_version(connection, change.schedule, bound.schedule.version)
    if change.binding is None:
        await connection.execute(_DELETE_BINDING, tenant_id, key.kind, key.subject)
    else:
        made = (change.binding.schedule_id, change.binding.made_revision, change.binding.made_template_version)
        await connection.execute(_SAVE_MADE, tenant_id, key.kind, key.subject, *made)
    await _record(connection, tenant_id, change.recorded)


async def _record(connection: Connection, tenant_id: TenantId, recorded: RecordedChange) -> None:
    await refuse_revoked_tenant(connection, tenant_id)
    events = drafts_of_tenant(recorded.events, tenant_id)
    if events:
        await insert_events(connection, events)
    for entry in recorded.audit:
        await insert_audit(connection, tenant_id, entry)


async def _insert_template(connection: Connection, template: ScheduleTemplate) -> bool:
    try:
        name = await connection.fetchval(
            _INSERT_TEMPLATE,
            template.tenant_id,
            template.name,
            template.version,
            template.body,
            template.defaults,
            template.description,
            template.created_at,
            template.created_by,
            template.updated_at,
            template.updated_by,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", template.tenant_id) from error
    return name is not None


async def _save_template(connection: Connection, template: ScheduleTemplate, expected_version: int) -> bool:
    name = await connection.fetchval(
        _SAVE_TEMPLATE,
        template.tenant_id,
        template.name,
        template.version,
        template.body,
        template.defaults,
        template.description,
        template.updated_at,
        template.updated_by,
        expected_version,
    )
    return name is not None


async def _insert_binding(connection: Connection, binding: Binding) -> bool:
    kind = await connection.fetchval(
        _INSERT_BINDING,
        binding.tenant_id,
        binding.key.kind,
        binding.key.subject,
        binding.template,
        binding.parameters,
        binding.revision,
        binding.created_at,
        binding.created_by,
        binding.updated_at,
        binding.updated_by,
    )
    return kind is not None


async def _save_binding(connection: Connection, binding: Binding, expected_revision: int) -> bool:
    kind = await connection.fetchval(
        _SAVE_BINDING,
        binding.tenant_id,
        binding.key.kind,
        binding.key.subject,
        binding.template,
        binding.parameters,
        binding.revision,
        binding.updated_at,
        binding.updated_by,
        expected_revision,
    )
    return kind is not None


async def _read_template(connection: Connection, tenant_id: TenantId, name: str) -> ScheduleTemplate:
    row = await connection.fetchrow(_READ_TEMPLATE, tenant_id, name)
    if row is None:
        raise not_found("schedule template", name)
    return _template(row)


async def _read_binding(connection: Connection, tenant_id: TenantId, key: BindingKey) -> Binding:
    row = await connection.fetchrow(_READ_BINDING, tenant_id, key.kind, key.subject)
    if row is None:
        raise not_found("binding", str(key))
    return _binding(row)


def _unknown_reference(binding: Binding, error: asyncpg.ForeignKeyViolationError) -> DomainError:
    if "bindings_template" in str(error):
        return not_found("schedule template", binding.template)
    return not_found("tenant", binding.tenant_id)


def _template(row: Row) -> ScheduleTemplate:
    return ScheduleTemplate(
        TenantId(row["tenant_id"]),
        row["name"],
        row["version"],
        row["body"],
        row["defaults"],
        row["description"],
        row["created_at"],
        row["created_by"],
        row["updated_at"],
        row["updated_by"],
    )


def _binding(row: Row) -> Binding:
    return Binding(
        TenantId(row["tenant_id"]),
        BindingKey(row["kind"], row["subject"]),
        row["template"],
        row["parameters"],
        row["revision"],
        row["created_at"],
        row["created_by"],
        row["updated_at"],
        row["updated_by"],
        row["template_version"],
        None if row["schedule_id"] is None else ScheduleId(str(row["schedule_id"])),
        row["made_revision"],
        row["made_template_version"],
        row["has_schedule"],
    )
