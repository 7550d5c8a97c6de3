"""Flags in PostgreSQL: a tenant's through the api login and its row-level security, the platform's by the service."""

from collections.abc import Sequence

import asyncpg

from rota.core.flags import off_words
from rota.domain.errors import Bug, not_found
from rota.domain.flag import MILESTONES, FlagChange, FlagSetting, PlatformSetting
from rota.domain.ids import TenantId
from rota.domain.tenancy import AuditEntry
from rota.storage.flag_events import flag_event
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.query_files import query
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_SHARE_FLAG = query("flags/share_flag")
_LOCK_FLAG = query("flags/lock_flag")
_LIST_SETTINGS = query("flags/list_settings")
_SAVE_FLAG = query("flags/save_flag")
_REFUSE_PLANNED = query("flags/refuse_planned")
_SAVE_PLATFORM_FLAG = query("platform_flags/save_flag")
_REFUSE_ALL_PLANNED = query("platform_flags/refuse_planned")

_LIST_PLATFORM_SETTINGS = query("platform_flags/list_settings")
_WALK_ANEW = query("milestones/walk_anew")
_WALK_ALL_ANEW = query("milestone_duties/walk_all_anew")

SCHEDULES_AT_ONCE = 500
_PLATFORM_COLUMNS = ("enabled", "reason", "changed_at", "changed_by")
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


class PostgresFlagStore:
    """See `rota.ports.flag_store.FlagStore`."""

    def __init__(self, api_pool: Pool, service_pool: Pool) -> None:
        self._pool = api_pool
        self._service_pool = service_pool

    async def settings(self, tenant_id: TenantId) -> Sequence[FlagSetting]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return [_setting(row) for row in await connection.fetch(_LIST_SETTINGS, tenant_id)]

    async def change(self, tenant_id: TenantId | None, name: str, change: FlagChange, audit: AuditEntry) -> FlagSetting:
        values = name, change.enabled, change.reason, audit.actor
        with refusing_unstorable_text():
            if tenant_id is None:
                async with transaction(self._service_pool, doing="switching a flag") as connection:
                    await connection.execute(_LOCK_FLAG, name, None)
                    made = await _recorded(connection, await connection.fetchrow(_SAVE_PLATFORM_FLAG, *values), audit)
                    if name == MILESTONES and change.enabled:
                        await connection.execute(_WALK_ALL_ANEW)
                    return made
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await connection.execute(_LOCK_FLAG, name, tenant_id)
                try:
                    row = await connection.fetchrow(_SAVE_FLAG, tenant_id, *values)
                except asyncpg.ForeignKeyViolationError as error:
                    raise not_found("tenant", tenant_id) from error
                await refuse_revoked_tenant(connection, tenant_id)
                made = await _recorded(connection, row, audit)
                if name == MILESTONES and change.enabled:
                    await connection.execute(_WALK_ANEW, tenant_id)
                return made

    async def platform(self) -> Sequence[PlatformSetting]:
        async with transaction(self._service_pool, readonly=True, doing="reading flags") as connection:
            return [_platform_setting(row) for row in await connection.fetch(_LIST_PLATFORM_SETTINGS)]

    async def refuse_planned(self, tenant_id: TenantId | None) -> int:
        after, count = _BEFORE_ALL, 0
        while True:
            refused = await self._refuse_some(tenant_id, after)
            if not refused:
                return count
            after, count = max(refused), count + len(refused)

    async def _refuse_some(self, tenant_id: TenantId | None, after: str) -> list[str]:
        if tenant_id is None:
            async with transaction(self._service_pool, doing="refusing what was planned") as connection:
                rows = await connection.fetch(_REFUSE_ALL_PLANNED, after, SCHEDULES_AT_ONCE)
        else:
            async with tenant_transaction(self._pool, tenant_id) as connection:
                rows = await connection.fetch(_REFUSE_PLANNED, tenant_id, after, SCHEDULES_AT_ONCE)
        return [str(row["id"]) for row in rows]


async def shared_off_words(connection: Connection, tenant_id: TenantId, name: str) -> str | None:
    """Why the flag is off, None where it is on; so it stays to the end of the caller's transaction."""
    await connection.execute(_SHARE_FLAG, name, tenant_id)
    return await read_off_words(connection, tenant_id, name)


async def read_off_words(connection: Connection, tenant_id: TenantId, name: str) -> str | None:
    """Why the flag is off by now, None where it is on."""
    return off_words([_setting(row) for row in await connection.fetch(_LIST_SETTINGS, tenant_id)], name)


async def _recorded(connection: Connection, row: Row | None, audit: AuditEntry) -> FlagSetting:
    if row is None:
        raise Bug("an upsert gave no row")
    setting = _setting(row)
    await insert_events(connection, [flag_event(setting)])
    await insert_audit(connection, setting.tenant_id, audit)
    return setting


def _setting(row: Row) -> FlagSetting:
    tenant_id = None if row["tenant_id"] is None else TenantId(row["tenant_id"])
    return FlagSetting(row["name"], tenant_id, row["enabled"], row["reason"], row["changed_at"], row["changed_by"])


def _platform_setting(row: Row) -> PlatformSetting:
    name = row["name"]
    known = None if row["enabled"] is None else FlagSetting(name, None, *(row[part] for part in _PLATFORM_COLUMNS))
    return PlatformSetting(name, known, row["tenants_off_count"], tuple(row["tenants_off"]))
