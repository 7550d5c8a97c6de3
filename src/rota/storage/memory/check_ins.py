"""Check-ins in memory: the oracle of `rota.storage.postgres.check_ins`."""

from datetime import timedelta

from msgspec import structs

from rota.core.check_ins import on_deadline
from rota.domain.check_in import CHECK_INS_PER_TENANT_MAX, CheckIn
from rota.domain.errors import not_found
from rota.domain.ids import CheckInId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry
from rota.ports.check_in_store import OnChange, OnPing
from rota.storage.check_in_refusals import check_in_event, name_taken, quota_exceeded
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import page_of
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_cursor


class MemoryCheckInStore:
    """See `rota.ports.check_in_store`: both of its ports. A test may lower `check_ins_max`."""

    def __init__(self, database: MemoryDatabase, check_ins_max: int = CHECK_INS_PER_TENANT_MAX) -> None:
        self._database = database
        self._tables = database.check_ins_state
        self._check_ins_max = check_ins_max

    async def create(self, check_in: CheckIn, token_hash: bytes, audit: AuditEntry) -> CheckIn:
        open_tenant(self._database, check_in.tenant_id)
        own = self._of(check_in.tenant_id)
        if any(one.name == check_in.name for one in own):
            raise name_taken(check_in.name)
        if len(own) >= self._check_ins_max:
            raise quota_exceeded()
        self._tables.check_ins[check_in.id] = check_in
        self._tables.by_hash[token_hash] = check_in.id
        self._record("CheckInCreated", check_in, audit)
        return check_in

    async def get(self, tenant_id: TenantId, check_in_id: CheckInId) -> CheckIn:
        found = self._tables.check_ins.get(check_in_id)
        if found is None or found.tenant_id != tenant_id:
            raise not_found("check-in", check_in_id)
        return found

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[CheckIn]:
        after = None if page.cursor is None else decode_cursor(page.cursor, 1)
        return page_of(sorted(self._of(tenant_id), key=_position), _position, page, after)

    async def delete(self, tenant_id: TenantId, check_in_id: CheckInId, audit: AuditEntry) -> CheckIn:
        found = await self.get(tenant_id, check_in_id)
        del self._tables.check_ins[check_in_id]
        self._tables.by_hash = {token: name for token, name in self._tables.by_hash.items() if name != check_in_id}
        self._tables.old = {token: name for token, name in self._tables.old.items() if name != check_in_id}
        self._record("CheckInDeleted", found, audit)
        return found

    async def change(
        self, tenant_id: TenantId, check_in_id: CheckInId, decide: OnChange, event_type: str, audit: AuditEntry
    ) -> CheckIn:
        found = await self.get(tenant_id, check_in_id)
        changed = decide(found, self._database.now())
        if changed != found:
            self._tables.check_ins[check_in_id] = changed
            self._record(event_type, changed, audit)
        return changed

    async def rotate(
        self, tenant_id: TenantId, check_in_id: CheckInId, token_hash: bytes, overlap_seconds: float, audit: AuditEntry
    ) -> CheckIn:
        found, tables = await self.get(tenant_id, check_in_id), self._tables
        until = self._database.now() + timedelta(seconds=overlap_seconds)
        tables.old = {token: name for token, name in tables.old.items() if name != check_in_id}
        tables.old |= {token: name for token, name in tables.by_hash.items() if name == check_in_id}
        tables.by_hash = {token: name for token, name in tables.by_hash.items() if name != check_in_id}
        tables.by_hash[token_hash] = check_in_id
        changed = tables.check_ins[check_in_id] = structs.replace(found, old_address_until=until)
        self._record("CheckInRotated", changed, audit)
        return changed

    def _called(self, token_hash: bytes) -> CheckInId | None:
        check_in_id = self._tables.old.get(token_hash)
        if check_in_id is None:
            return self._tables.by_hash.get(token_hash)
        until = self._tables.check_ins[check_in_id].old_address_until
        return check_in_id if until is not None and until > self._database.now() else None

    async def ping(self, token_hash: bytes, decide: OnPing) -> bool:
        check_in_id = self._called(token_hash)
        if check_in_id is None:
            return False
        found = self._tables.check_ins[check_in_id]
        if self._database.tenants[found.tenant_id].revoked_at is not None:
            return False
        change = decide(found, self._database.now())
        self._tables.check_ins[check_in_id] = change.check_in
        if change.events:
            self._database.record_events(change.events)
        return True

    async def next_deadline_in_seconds(self) -> float | None:
        found = [one.deadline_at for one in self._open() if one.deadline_at is not None]
        return (min(found) - self._database.now()).total_seconds() if found else None

    async def mark_missed(self, limit: int) -> int:
        now = self._database.now()
        changes = [change for one in self._open() if (change := on_deadline(one, now)) is not None][:limit]
        for change in changes:
            self._tables.check_ins[change.check_in.id] = change.check_in
            self._database.record_events(change.events)
        return len(changes)

    def _of(self, tenant_id: TenantId) -> list[CheckIn]:
        return [one for one in self._tables.check_ins.values() if one.tenant_id == tenant_id]

    def _open(self) -> list[CheckIn]:
        tenants = self._database.tenants
        return [one for one in self._tables.check_ins.values() if tenants[one.tenant_id].revoked_at is None]

    def _record(self, event_type: str, check_in: CheckIn, audit: AuditEntry) -> None:
        self._database.record_events([check_in_event(event_type, check_in, audit)])
        self._database.record_audit(check_in.tenant_id, audit)


def _position(check_in: CheckIn) -> tuple[str]:
    return (check_in.name,)
