"""Templates and bindings in memory: the oracle of `rota.storage.postgres.bindings`."""

from msgspec import structs

from rota.core.flags import off_words
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
from rota.domain.errors import not_found
from rota.domain.flag import RECONCILE
from rota.domain.ids import TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import Schedule
from rota.ports.binding_store import BindingFilter, OnBound
from rota.ports.schedule_store import ScheduleChange
from rota.storage.binding_refusals import bindings_exceeded, put_refused, template_in_use, templates_exceeded
from rota.storage.event_drafts import drafts_of_tenant
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import page_of
from rota.storage.memory.schedules import MemoryScheduleStore
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_cursor


class MemoryTemplateStore:
    """See `rota.ports.binding_store.TemplateStore`. A test may lower `templates_max`."""

    def __init__(self, database: MemoryDatabase, templates_max: int = TEMPLATES_PER_TENANT_MAX) -> None:
        self._database = database
        self._templates = database.bindings_state.templates
        self._templates_max = templates_max

    async def get(self, tenant_id: TenantId, name: str) -> ScheduleTemplate:
        return _template(self._database, tenant_id, name)

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[ScheduleTemplate]:
        after = None if page.cursor is None else decode_cursor(page.cursor, 1)
        return page_of(sorted(self._of(tenant_id), key=lambda one: one.name), lambda one: (one.name,), page, after)

    async def put_if_version(self, template: ScheduleTemplate, expected_version: int, recorded: RecordedChange) -> None:
        open_tenant(self._database, template.tenant_id)
        known = self._templates.get((template.tenant_id, template.name))
        if (0 if known is None else known.version) != expected_version:
            raise put_refused("template", expected_version)
        if known is None and len(self._of(template.tenant_id)) >= self._templates_max:
            raise templates_exceeded()
        self._templates[template.tenant_id, template.name] = template
        _record(self._database, template.tenant_id, recorded)

    async def delete(self, tenant_id: TenantId, name: str, recorded: RecordedChange) -> ScheduleTemplate:
        found = _template(self._database, tenant_id, name)
        open_tenant(self._database, tenant_id)
        used = self._database.bindings_state.bindings.values()
        if any(one.tenant_id == tenant_id and one.template == name for one in used):
            raise template_in_use(name)
        del self._templates[tenant_id, name]
        _record(self._database, tenant_id, recorded)
        return found

    def _of(self, tenant_id: TenantId) -> list[ScheduleTemplate]:
        return [one for (owner, _), one in self._templates.items() if owner == tenant_id]


class MemoryBindingStore:
    """See `rota.ports.binding_store.BindingStore`. A test may lower `bindings_max`."""

    def __init__(self, database: MemoryDatabase, bindings_max: int = BINDINGS_PER_TENANT_MAX) -> None:
        self._database = database
        self._bindings = database.bindings_state.bindings
        self._schedules = MemoryScheduleStore(database)
        self._bindings_max = bindings_max

    async def get(self, tenant_id: TenantId, key: BindingKey) -> Binding:
        found = self._bindings.get((tenant_id, key))
        if found is None:
            raise not_found("binding", str(key))
        return self._by_now(found)

    async def page(self, tenant_id: TenantId, where: BindingFilter, page: PageRequest) -> Page[Binding]:
        after = None if page.cursor is None else decode_cursor(page.cursor, 2)
        found = sorted((one for one in self._of(tenant_id) if _matches(one, where)), key=_position)
        shown = page_of(found, _position, page, after)
        return structs.replace(shown, total_count=min(shown.total_count, page.count_max or shown.total_count))

    async def put_if_revision(self, binding: Binding, expected_revision: int, recorded: RecordedChange) -> None:
        open_tenant(self._database, binding.tenant_id)
        _template(self._database, binding.tenant_id, binding.template)
        known = self._bindings.get((binding.tenant_id, binding.key))
        if (0 if known is None else known.revision) != expected_revision:
            raise put_refused("binding", expected_revision)
        if known is None and len(self._of(binding.tenant_id)) >= self._bindings_max:
            raise bindings_exceeded()
        made = binding if known is None else known
        self._bindings[binding.tenant_id, binding.key] = structs.replace(
            binding,
            schedule_id=made.schedule_id,
            made_revision=made.made_revision,
            made_template_version=made.made_template_version,
        )
        _record(self._database, binding.tenant_id, recorded)

    async def apply(self, tenant_id: TenantId, key: BindingKey, decide: OnBound) -> BindingChange | None:
        binding = await self.get(tenant_id, key)
        template = _template(self._database, tenant_id, binding.template)
        schedule = self._schedule_of(binding)
        off = off_words(self._database.settings_of(tenant_id), RECONCILE)
        change = decide(Bound(binding, template, schedule, off), self._database.now())
        if change is None:
            return None
        open_tenant(self._database, tenant_id)
        audit, *more = change.recorded.audit
        told = RecordedChange((), tuple(more))
        if change.schedule is None:
            told = change.recorded
        elif schedule is None:
            stored = ScheduleChange(change.recorded.events, audit)
            await self._schedules.insert_many(tenant_id, (change.schedule,), stored)
        else:
            stored = ScheduleChange(change.recorded.events, audit)
            await self._schedules.save_if_version(change.schedule, schedule.version, stored)
        if change.binding is None:
            del self._bindings[tenant_id, key]
        else:
            self._bindings[tenant_id, key] = change.binding
        _record(self._database, tenant_id, told)
        return change

    async def record(self, tenant_id: TenantId, recorded: RecordedChange) -> None:
        open_tenant(self._database, tenant_id)
        _record(self._database, tenant_id, recorded)

    def _of(self, tenant_id: TenantId) -> list[Binding]:
        return [self._by_now(one) for (owner, _), one in self._bindings.items() if owner == tenant_id]

    def _by_now(self, binding: Binding) -> Binding:
        template = _template(self._database, binding.tenant_id, binding.template)
        has_schedule = self._schedule_of(binding) is not None
        return structs.replace(binding, template_version=template.version, has_schedule=has_schedule)

    def _schedule_of(self, binding: Binding) -> Schedule | None:
        found = None if binding.schedule_id is None else self._database.schedules.get(binding.schedule_id)
        return found if found is not None and found.deleted_at is None else None


def _template(database: MemoryDatabase, tenant_id: TenantId, name: str) -> ScheduleTemplate:
    found = database.bindings_state.templates.get((tenant_id, name))
    if found is None:
        raise not_found("schedule template", name)
    return found


def _record(database: MemoryDatabase, tenant_id: TenantId, recorded: RecordedChange) -> None:
    if recorded.events:
        database.record_events(drafts_of_tenant(recorded.events, tenant_id))
    for entry in recorded.audit:
        database.record_audit(tenant_id, entry)


def _matches(binding: Binding, where: BindingFilter) -> bool:
    return (
        (where.kind is None or binding.key.kind == where.kind)
        and (where.subject is None or binding.key.subject == where.subject)
        and (where.template is None or binding.template == where.template)
        and (where.state is None or binding.state == where.state)
    )


def _position(binding: Binding) -> tuple[str, str]:
    return binding.key.kind, binding.key.subject
