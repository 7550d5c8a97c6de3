"""Locks in memory: the oracle of `rota.storage.postgres.locks`. It knows no database sessions."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import structs

from rota.domain.errors import not_found
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId
from rota.domain.lock import (
    LOCK_FREE_DAYS_KEPT,
    LOCKS_PER_TENANT_MAX,
    Acquisition,
    Lock,
    LockClaim,
    LockHold,
    LockToken,
)
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry
from rota.storage.lock_refusals import lock_broken, lock_lost, quota_exceeded
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.lock_tables import LockLedger
from rota.storage.memory.paging import page_of
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_cursor

BIRTHS_PER_PRUNING = 100


class MemoryLockStore:
    """See `rota.ports.lock_store.LockStore`. A test may lower `locks_max`."""

    def __init__(self, database: MemoryDatabase, locks_max: int = LOCKS_PER_TENANT_MAX) -> None:
        self._database = database
        self._tables = database.locks_state
        self._locks_max = locks_max

    async def acquire_if_free(self, tenant_id: TenantId, name: str, claim: LockClaim, audit: AuditEntry) -> Acquisition:
        before = self._seen(tenant_id, name)
        if before is not None and before.held:
            key = self._tables.request_keys.get((tenant_id, name), "")
            return Acquisition(before, acquired=bool(claim.request_key) and key == claim.request_key)
        open_tenant(self._database, tenant_id)
        epoch = (before.token if before is not None else self._born(tenant_id)) + 1
        now = self._database.now()
        expires_at = now + timedelta(seconds=claim.ttl_seconds)
        taken = Lock(tenant_id, name, LockToken(epoch), claim.holder, True, now, expires_at, None, now)
        self._tables.locks[tenant_id, name] = taken
        self._tables.request_keys[tenant_id, name] = claim.request_key
        events: list[EventDraft] = []
        if before is not None and before.released_at is None:
            lost = (before.token, before.holder)
            events.append(lock_lost(tenant_id, name, lost, (taken.token, taken.holder), audit.actor))
        self._record(tenant_id, audit, events)
        return Acquisition(taken, acquired=True)

    async def renew_if_held(self, tenant_id: TenantId, name: str, hold: LockHold, ttl_seconds: float) -> Lock | None:
        seen = self._held_by(tenant_id, name, hold)
        if seen is None:
            return None
        renewed = structs.replace(seen, expires_at=seen.as_of + timedelta(seconds=ttl_seconds))
        self._tables.locks[tenant_id, name] = renewed
        return renewed

    async def release_if_held(self, tenant_id: TenantId, name: str, hold: LockHold, audit: AuditEntry) -> Lock | None:
        return self._end(self._held_by(tenant_id, name, hold), audit, events=())

    async def break_if_held(self, tenant_id: TenantId, name: str, audit: AuditEntry) -> Lock | None:
        seen = self._seen(tenant_id, name)
        if seen is None or not seen.held:
            return None
        return self._end(seen, audit, [lock_broken(seen, audit.actor)])

    async def get(self, tenant_id: TenantId, name: str) -> Lock:
        seen = self._seen(tenant_id, name)
        if seen is None:
            raise not_found("lock", name)
        return seen

    async def page(self, tenant_id: TenantId, held: bool | None, page: PageRequest) -> Page[Lock]:  # noqa: FBT001
        after = None if page.cursor is None else decode_cursor(page.cursor, 1)
        mine = [self._as_of_now(lock) for (owner, _), lock in self._tables.locks.items() if owner == tenant_id]
        found = [lock for lock in mine if held is None or lock.held == held]
        return page_of(sorted(found, key=_position), _position, page, after)

    def _seen(self, tenant_id: TenantId, name: str) -> Lock | None:
        lock = self._tables.locks.get((tenant_id, name))
        return None if lock is None else self._as_of_now(lock)

    def _as_of_now(self, lock: Lock) -> Lock:
        now = self._database.now()
        held = lock.released_at is None and lock.expires_at is not None and lock.expires_at > now
        return structs.replace(lock, held=held, as_of=now)

    def _held_by(self, tenant_id: TenantId, name: str, hold: LockHold) -> Lock | None:
        seen = self._seen(tenant_id, name)
        if seen is None or not seen.held or seen.token != hold.token:
            return None
        return seen if hold.holder is None or hold.holder == seen.holder else None

    def _end(self, seen: Lock | None, audit: AuditEntry, events: Iterable[EventDraft]) -> Lock | None:
        if seen is None:
            return None
        ended = structs.replace(seen, held=False, released_at=seen.as_of)
        self._tables.locks[seen.tenant_id, seen.name] = ended
        self._record(seen.tenant_id, audit, events)
        return ended

    def _born(self, tenant_id: TenantId) -> int:
        """The epoch that a new lock starts above, once there is room for it."""
        ledger = self._tables.ledgers.setdefault(tenant_id, LockLedger())
        if self._count(tenant_id) >= self._locks_max:
            self._prune(tenant_id, ledger, timedelta())
        elif (ledger.births_count + 1) % BIRTHS_PER_PRUNING == 0:
            self._prune(tenant_id, ledger, timedelta(days=LOCK_FREE_DAYS_KEPT))
        if self._count(tenant_id) >= self._locks_max:
            raise quota_exceeded()
        ledger.births_count += 1
        return ledger.epoch_floor

    def _count(self, tenant_id: TenantId) -> int:
        return sum(1 for owner, _ in self._tables.locks if owner == tenant_id)

    def _prune(self, tenant_id: TenantId, ledger: LockLedger, free_for: timedelta) -> None:
        ended_by = self._database.now() - free_for
        for owner, name in list(self._tables.locks):
            seen = self._seen(owner, name)
            if owner == tenant_id and seen is not None and not seen.held and _ended_at(seen) <= ended_by:
                del self._tables.locks[owner, name]
                ledger.epoch_floor = max(ledger.epoch_floor, seen.token)

    def _record(self, tenant_id: TenantId, audit: AuditEntry, events: Iterable[EventDraft]) -> None:
        self._database.record_events(events)
        self._database.record_audit(tenant_id, audit)


def _ended_at(lock: Lock) -> datetime:
    return lock.released_at or lock.expires_at or lock.acquired_at


def _position(lock: Lock) -> tuple[str]:
    return (lock.name,)
