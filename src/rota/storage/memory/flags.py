"""Flags in memory: the oracle of `rota.storage.postgres.flags`."""

from collections.abc import Sequence

from msgspec import structs

from rota.domain.flag import MILESTONES, TENANTS_SHOWN_MAX, FlagChange, FlagSetting, PlatformSetting
from rota.domain.ids import TenantId
from rota.domain.tenancy import AuditEntry
from rota.storage.flag_events import flag_event
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.milestones import walk_anew
from rota.storage.memory.tenants import open_tenant


class MemoryFlagStore:
    """See `rota.ports.flag_store.FlagStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def settings(self, tenant_id: TenantId) -> Sequence[FlagSetting]:
        return sorted(self._database.settings_of(tenant_id), key=lambda one: one.name)

    async def change(self, tenant_id: TenantId | None, name: str, change: FlagChange, audit: AuditEntry) -> FlagSetting:
        if tenant_id is not None:
            open_tenant(self._database, tenant_id)
        now = self._database.now()
        made = FlagSetting(name, tenant_id, change.enabled, change.reason, now, audit.actor)
        self._database.flags[tenant_id, name] = made
        self._database.record_events([flag_event(made)])
        self._database.record_audit(tenant_id, audit)
        if name == MILESTONES and change.enabled:
            walk_anew(self._database, tenant_id)
        return made

    async def platform(self) -> Sequence[PlatformSetting]:
        flags = self._database.flags
        off = {
            name: sorted(owner for (owner, of), one in flags.items() if of == name and owner and not one.enabled)
            for name in sorted({name for _, name in flags})
        }
        return [
            PlatformSetting(name, flags.get((None, name)), len(tenants), tuple(tenants[:TENANTS_SHOWN_MAX]))
            for name, tenants in off.items()
            if tenants or (None, name) in flags
        ]

    async def refuse_planned(self, tenant_id: TenantId | None) -> int:
        now, schedules = self._database.now(), self._database.schedules
        due = [
            one
            for one in schedules.values()
            if tenant_id in (None, one.tenant_id) and one.next_fire_at is not None and one.next_fire_at <= now
        ]
        for one in due:
            schedules[one.id] = structs.replace(one, version=one.version + 1)
        return len(due)
