"""Tenants, through the service login: the platform's own verbs.

A revocation locks the tenant's row first. Every transaction that inserts a schedule or token refers to that row, holds
it until its end, and looks afterwards whether the tenant is open: so either the revocation sees what was inserted, or
the insertion sees that it came too late. Changes of schedules that exist meet the revocation at their row and version.
"""

from rota.domain.errors import DomainError, not_found
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry, Tenant
from rota.storage.page_cursor import decode_cursor
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.unstorable_text import refusing_unstorable_text
from rota.storage.schedule_refusals import TENANT_REVOKED_REASON, tenant_revoked

_INSERT_IF_FREE = query("tenants/insert_if_free")
_READ_TENANT = query("tenants/read_tenant")
_PAGE_TENANTS = query("tenants/page_tenants")
_LOCK_TENANT = query("tenants/lock_tenant")
_REVOKE_LOCKED = query("tenants/revoke_locked")
_WEIGH_LOCKED = query("tenants/weigh_locked")
_PAUSE_ALL = query("schedules/pause_all")
_STOP_TRIGGERS = query("schedules/stop_triggers")


async def refuse_revoked_tenant(connection: Connection, tenant_id: TenantId) -> None:
    """To be asked after a row that refers to the tenant was inserted, which keeps the answer true (see above)."""
    row = await connection.fetchrow(_READ_TENANT, tenant_id)
    if row is None:
        raise not_found("tenant", tenant_id)
    if row["revoked_at"] is not None:
        raise tenant_revoked(tenant_id)


class PostgresTenantStore:
    """See `rota.ports.tenant_store.TenantStore`."""

    def __init__(self, service_pool: Pool) -> None:
        self._pool = service_pool

    async def create(self, tenant: Tenant, audit: AuditEntry) -> Tenant:
        with refusing_unstorable_text():
            async with transaction(self._pool, doing="creating a tenant") as connection:
                created = await connection.fetchval(
                    _INSERT_IF_FREE,
                    tenant.id,
                    tenant.name,
                    tenant.created_at,
                    tenant.created_by,
                    tenant.revoked_at,
                    tenant.weight,
                )
                if created is None:
                    raise DomainError("NAME_TAKEN", f"there is a tenant {tenant.id!r} already")
                await insert_events(connection, [EventDraft("TenantCreated", tenant.id, tenant.id, audit.actor)])
                await insert_audit(connection, tenant.id, audit)
        return tenant

    async def get(self, tenant_id: TenantId) -> Tenant:
        with refusing_unstorable_text():
            async with transaction(self._pool, readonly=True, doing="reading a tenant") as connection:
                row = await connection.fetchrow(_READ_TENANT, tenant_id)
        if row is None:
            raise not_found("tenant", tenant_id)
        return _tenant(row)

    async def page(self, page: PageRequest) -> Page[Tenant]:
        (after,) = ("",) if page.cursor is None else decode_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        async with transaction(self._pool, readonly=True, doing="listing tenants") as connection:
            rows = await connection.fetch(_PAGE_TENANTS, after, page.limit + 1, offset)
        return page_of_rows(rows, page, _tenant, lambda tenant: (tenant.id,))

    async def revoke(self, tenant_id: TenantId, audit: AuditEntry) -> Tenant:
        with refusing_unstorable_text():
            async with transaction(self._pool, doing="revoking a tenant") as connection:
                row = await connection.fetchrow(_LOCK_TENANT, tenant_id)
                if row is None:
                    raise not_found("tenant", tenant_id)
                if row["revoked_at"] is not None:
                    return _tenant(row)
                return await self._revoke_locked(connection, tenant_id, audit)

    async def weigh(self, tenant_id: TenantId, weight: int, audit: AuditEntry) -> Tenant:
        with refusing_unstorable_text():
            async with transaction(self._pool, doing="weighing a tenant") as connection:
                row = await connection.fetchrow(_LOCK_TENANT, tenant_id)
                if row is None:
                    raise not_found("tenant", tenant_id)
                if row["weight"] == weight:
                    return _tenant(row)
                weighed = await connection.fetchrow(_WEIGH_LOCKED, tenant_id, weight)
                assert weighed is not None, "the tenant's row is locked"
                facts = {"weight": weight, "weight_before": row["weight"]}
                await insert_events(connection, [EventDraft("TenantWeighed", tenant_id, tenant_id, audit.actor, facts)])
                await insert_audit(connection, tenant_id, audit)
                return _tenant(weighed)

    async def _revoke_locked(self, connection: Connection, tenant_id: TenantId, audit: AuditEntry) -> Tenant:
        row = await connection.fetchrow(_REVOKE_LOCKED, tenant_id)
        assert row is not None, "the tenant's row is locked"
        paused = await connection.fetch(_PAUSE_ALL, tenant_id, TENANT_REVOKED_REASON, audit.actor, row["revoked_at"])
        await connection.execute(_STOP_TRIGGERS, tenant_id)
        reason = {"reason": TENANT_REVOKED_REASON}
        events = [EventDraft("TenantRevoked", tenant_id, tenant_id, audit.actor)]
        events += [EventDraft("SchedulePaused", tenant_id, pause["id"], audit.actor, reason) for pause in paused]
        await insert_events(connection, events)
        await insert_audit(connection, tenant_id, audit)
        return _tenant(row)


def _tenant(row: Row) -> Tenant:
    return Tenant(row["id"], row["name"], row["created_at"], row["created_by"], row["revoked_at"], row["weight"])
