"""Tenants in memory: the oracle of `rota.storage.postgres.tenants`."""

from msgspec import structs

from rota.domain.errors import DomainError, not_found
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry, Tenant
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import page_of
from rota.storage.page_cursor import decode_cursor
from rota.storage.schedule_refusals import TENANT_REVOKED_REASON, tenant_revoked


def open_tenant(database: MemoryDatabase, tenant_id: TenantId) -> Tenant:
    """The tenant, where it takes changes. Raises NOT_FOUND, or STATE_CONFLICT where it is revoked."""
    tenant = database.tenants.get(tenant_id)
    if tenant is None:
        raise not_found("tenant", tenant_id)
    if tenant.revoked_at is not None:
        raise tenant_revoked(tenant_id)
    return tenant


class MemoryTenantStore:
    """See `rota.ports.tenant_store.TenantStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def create(self, tenant: Tenant, audit: AuditEntry) -> Tenant:
        if tenant.id in self._database.tenants:
            raise DomainError("NAME_TAKEN", f"there is a tenant {tenant.id!r} already")
        self._database.tenants[tenant.id] = tenant
        self._record("TenantCreated", tenant.id, audit)
        return tenant

    async def get(self, tenant_id: TenantId) -> Tenant:
        tenant = self._database.tenants.get(tenant_id)
        if tenant is None:
            raise not_found("tenant", tenant_id)
        return tenant

    async def page(self, page: PageRequest) -> Page[Tenant]:
        after = None if page.cursor is None else decode_cursor(page.cursor, 1)
        found = sorted(self._database.tenants.values(), key=_position)
        return page_of(found, _position, page, after)

    async def revoke(self, tenant_id: TenantId, audit: AuditEntry) -> Tenant:
        tenant = await self.get(tenant_id)
        if tenant.revoked_at is not None:
            return tenant
        revoked = structs.replace(tenant, revoked_at=self._database.now())
        self._database.tenants[tenant_id] = revoked
        self._record("TenantRevoked", tenant_id, audit)
        self._stop_schedules(tenant_id, audit.actor)
        return revoked

    async def weigh(self, tenant_id: TenantId, weight: int, audit: AuditEntry) -> Tenant:
        tenant = await self.get(tenant_id)
        if tenant.weight == weight:
            return tenant
        weighed = structs.replace(tenant, weight=weight)
        self._database.tenants[tenant_id] = weighed
        facts = {"weight": weight, "weight_before": tenant.weight}
        self._database.record_events([EventDraft("TenantWeighed", tenant_id, tenant_id, audit.actor, facts)])
        self._database.record_audit(tenant_id, audit)
        return weighed

    def _stop_schedules(self, tenant_id: TenantId, actor: str) -> None:
        mine = [s for s in self._database.schedules.values() if s.tenant_id == tenant_id and s.deleted_at is None]
        for schedule in mine:
            self._database.schedules[schedule.id] = self._stopped(schedule, actor)
        self._database.record_events(
            EventDraft("SchedulePaused", tenant_id, s.id, actor, {"reason": TENANT_REVOKED_REASON})
            for s in mine
            if s.enabled
        )

    def _stopped(self, schedule: Schedule, actor: str) -> Schedule:
        return structs.replace(
            schedule,
            enabled=False,
            paused_reason=TENANT_REVOKED_REASON,
            version=schedule.version + 1,
            updated_at=self._database.now(),
            updated_by=actor,
            triggers=tuple(structs.replace(trigger, next_fire_at=None) for trigger in schedule.triggers),
        )

    def _record(self, event_type: str, tenant_id: TenantId, audit: AuditEntry) -> None:
        self._database.record_events([EventDraft(event_type, tenant_id, tenant_id, audit.actor)])
        self._database.record_audit(tenant_id, audit)


def _position(tenant: Tenant) -> tuple[str]:
    return (tenant.id,)
