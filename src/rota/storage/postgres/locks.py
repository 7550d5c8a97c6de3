"""Locks in PostgreSQL, through the api login and its tenant's row-level security.

The deciding is done by `scheduler.acquire_lock` and the statements beside it: look, lock the row, look at the clock,
change. A frozen process holds a row for the idle bound of its session at most, and a contender waits for it no longer
than the function's `lock_timeout`: that is told as Unavailable.
"""

import asyncpg

from rota.domain.errors import Bug, not_found
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId
from rota.domain.lock import LOCKS_PER_TENANT_MAX, Acquisition, Lock, LockClaim, LockHold, LockToken
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry
from rota.storage.lock_refusals import lock_broken, lock_lost, quota_exceeded
from rota.storage.page_cursor import decode_cursor
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_ACQUIRE_IF_FREE = query("locks/acquire_if_free")
_READ_LOCK = query("locks/read_lock")
_RENEW_IF_HELD = query("locks/renew_if_held")
_RELEASE_IF_HELD = query("locks/release_if_held")
_PAGE_LOCKS = query("locks/page_locks")

_TAKEN = frozenset({"acquired", "repeated"})


class PostgresLockStore:
    """See `rota.ports.lock_store.LockStore`. A test may lower `locks_max`."""

    def __init__(self, api_pool: Pool, locks_max: int = LOCKS_PER_TENANT_MAX) -> None:
        self._pool = api_pool
        self._locks_max = locks_max

    async def acquire_if_free(self, tenant_id: TenantId, name: str, claim: LockClaim, audit: AuditEntry) -> Acquisition:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                decided = await self._decide(connection, tenant_id, name, claim)
                outcome = str(decided["outcome"])
                if outcome == "full":
                    raise quota_exceeded()
                lock = await _read(connection, tenant_id, name)
                if lock is None:
                    raise Bug("an acquisition leaves the lock's row")
                if outcome == "acquired":
                    await refuse_revoked_tenant(connection, tenant_id)
                    await _record(connection, tenant_id, audit, _lost(decided, lock, audit.actor))
        return Acquisition(lock, acquired=outcome in _TAKEN, by_session=outcome == "by_session")

    async def renew_if_held(self, tenant_id: TenantId, name: str, hold: LockHold, ttl_seconds: float) -> Lock | None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                row = await connection.fetchrow(_RENEW_IF_HELD, tenant_id, name, hold.token, hold.holder, ttl_seconds)
        return None if row is None else _lock(tenant_id, row)

    async def release_if_held(self, tenant_id: TenantId, name: str, hold: LockHold, audit: AuditEntry) -> Lock | None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                row = await connection.fetchrow(_RELEASE_IF_HELD, tenant_id, name, hold.token, hold.holder)
                if row is None:
                    return None
                await _record(connection, tenant_id, audit, ())
                return _lock(tenant_id, row)

    async def break_if_held(self, tenant_id: TenantId, name: str, audit: AuditEntry) -> Lock | None:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                row = await connection.fetchrow(_RELEASE_IF_HELD, tenant_id, name, None, None)
                if row is None:
                    return None
                broken = _lock(tenant_id, row)
                await _record(connection, tenant_id, audit, (lock_broken(broken, audit.actor),))
                return broken

    async def get(self, tenant_id: TenantId, name: str) -> Lock:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                lock = await _read(connection, tenant_id, name)
        if lock is None:
            raise not_found("lock", name)
        return lock

    async def page(self, tenant_id: TenantId, held: bool | None, page: PageRequest) -> Page[Lock]:  # noqa: FBT001
        (after,) = ("",) if page.cursor is None else decode_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_PAGE_LOCKS, tenant_id, held, after, page.limit + 1, offset)
        return page_of_rows(rows, page, lambda row: _lock(tenant_id, row), lambda lock: (lock.name,))

    async def _decide(self, connection: Connection, tenant_id: TenantId, name: str, claim: LockClaim) -> Row:
        try:
            decided = await connection.fetchrow(
                _ACQUIRE_IF_FREE,
                tenant_id,
                name,
                claim.holder,
                claim.ttl_seconds,
                claim.request_key,
                self._locks_max,
            )
        except asyncpg.ForeignKeyViolationError as error:
            raise not_found("tenant", tenant_id) from error
        if decided is None:
            raise Bug("acquire_lock always answers")
        return decided


async def _read(connection: Connection, tenant_id: TenantId, name: str) -> Lock | None:
    row = await connection.fetchrow(_READ_LOCK, tenant_id, name)
    return None if row is None else _lock(tenant_id, row)


async def _record(
    connection: Connection, tenant_id: TenantId, audit: AuditEntry, events: tuple[EventDraft, ...]
) -> None:
    if events:
        await insert_events(connection, events)
    await insert_audit(connection, tenant_id, audit)


def _lost(decided: Row, taken: Lock, actor: str) -> tuple[EventDraft, ...]:
    if decided["lost_epoch"] is None:
        return ()
    before = (int(decided["lost_epoch"]), str(decided["lost_holder"]))
    return (lock_lost(taken.tenant_id, taken.name, before, (taken.token, taken.holder), actor),)


def _lock(tenant_id: TenantId, row: Row) -> Lock:
    return Lock(
        tenant_id=tenant_id,
        name=row["name"],
        token=LockToken(row["epoch"]),
        holder=row["holder"],
        held=row["held"],
        acquired_at=row["acquired_at"],
        expires_at=row["expires_at"],
        released_at=row["released_at"],
        as_of=row["as_of"],
    )
