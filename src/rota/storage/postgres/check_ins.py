"""Check-ins in PostgreSQL: through the api login and row-level security; deadlines through the service login.

A ping asks whose its address is without a tenant, by a function of the schema, and then works for that tenant.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from rota.domain.check_in import CHECK_INS_PER_TENANT_MAX, CheckIn
from rota.domain.errors import Bug, not_found
from rota.domain.event import EventDraft
from rota.domain.ids import CheckInId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry
from rota.ports.check_in_store import OnChange, OnPing
from rota.storage.check_in_refusals import check_in_event, name_taken, quota_exceeded
from rota.storage.page_cursor import decode_cursor, is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_LOCK_QUOTA = query("check_ins/lock_quota")
_COUNT_OF_TENANT = query("check_ins/count_of_tenant")
_INSERT_CHECK_IN = query("check_ins/insert_check_in")
_READ_CHECK_IN = query("check_ins/read_check_in")
_LOCK_CHECK_IN = query("check_ins/lock_check_in")
_PAGE_CHECK_INS = query("check_ins/page_check_ins")
_DELETE_CHECK_IN = query("check_ins/delete_check_in")
_FIND_BY_HASH = query("check_ins/find_by_hash")
_SAVE_LOCKED = query("check_ins/save_locked")
_REPLACE_ADDRESS = query("check_ins/replace_address")
_LOOK_NEXT_DEADLINE = query("check_in_deadlines/look_next_deadline")
_MARK_MISSED = query("check_in_deadlines/mark_missed")
_READ_CLOCK = query("schedules/read_clock")


class PostgresCheckInStore:
    """See `rota.ports.check_in_store.CheckInStore`. A test may lower `check_ins_max`."""

    def __init__(self, api_pool: Pool, check_ins_max: int = CHECK_INS_PER_TENANT_MAX) -> None:
        self._pool = api_pool
        self._check_ins_max = check_ins_max

    async def create(self, check_in: CheckIn, token_hash: bytes, audit: AuditEntry) -> CheckIn:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, check_in.tenant_id) as connection:
                await connection.execute(_LOCK_QUOTA, check_in.tenant_id)
                full = await connection.fetchval(_COUNT_OF_TENANT, check_in.tenant_id) >= self._check_ins_max
                await _insert(connection, check_in, token_hash)
                if full:
                    raise quota_exceeded()
                await refuse_revoked_tenant(connection, check_in.tenant_id)
                await _record(connection, check_in_event("CheckInCreated", check_in, audit), audit)
        return check_in

    async def get(self, tenant_id: TenantId, check_in_id: CheckInId) -> CheckIn:
        return await self._one(_READ_CHECK_IN, tenant_id, check_in_id)

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[CheckIn]:
        (after,) = ("",) if page.cursor is None else decode_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_PAGE_CHECK_INS, tenant_id, after, page.limit + 1, offset)
        return page_of_rows(rows, page, _check_in, lambda check_in: (check_in.name,))

    async def delete(self, tenant_id: TenantId, check_in_id: CheckInId, audit: AuditEntry) -> CheckIn:
        if not is_uuid(check_in_id):
            raise not_found("check-in", check_in_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            row = await connection.fetchrow(_DELETE_CHECK_IN, tenant_id, check_in_id)
            if row is None:
                raise not_found("check-in", check_in_id)
            deleted = _check_in(row)
            await _record(connection, check_in_event("CheckInDeleted", deleted, audit), audit)
        return deleted

    async def change(
        self, tenant_id: TenantId, check_in_id: CheckInId, decide: OnChange, event_type: str, audit: AuditEntry
    ) -> CheckIn:
        async with self._held(tenant_id, check_in_id) as (connection, found):
            changed = decide(found, await connection.fetchval(_READ_CLOCK))
            if changed != found:
                await _save(connection, changed)
                await _record(connection, check_in_event(event_type, changed, audit), audit)
        return changed

    async def rotate(
        self, tenant_id: TenantId, check_in_id: CheckInId, token_hash: bytes, overlap_seconds: float, audit: AuditEntry
    ) -> CheckIn:
        async with self._held(tenant_id, check_in_id) as (connection, _):
            row = await connection.fetchrow(_REPLACE_ADDRESS, tenant_id, check_in_id, token_hash, overlap_seconds)
            if row is None:
                raise Bug("a check-in that is held is gone")
            changed = _check_in(row)
            await _record(connection, check_in_event("CheckInRotated", changed, audit), audit)
        return changed

    @asynccontextmanager
    async def _held(self, tenant_id: TenantId, check_in_id: CheckInId) -> AsyncGenerator[tuple[Connection, CheckIn]]:
        if not is_uuid(check_in_id):
            raise not_found("check-in", check_in_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            row = await connection.fetchrow(_LOCK_CHECK_IN, tenant_id, check_in_id)
            if row is None:
                raise not_found("check-in", check_in_id)
            yield connection, _check_in(row)

    async def ping(self, token_hash: bytes, decide: OnPing) -> bool:
        async with transaction(self._pool, readonly=True, doing="looking for a check-in") as connection:
            found = await connection.fetchrow(_FIND_BY_HASH, token_hash)
        if found is None:
            return False
        async with tenant_transaction(self._pool, found["tenant_id"]) as connection:
            row = await connection.fetchrow(_LOCK_CHECK_IN, found["tenant_id"], found["check_in_id"])
            if row is None:
                return False
            change = decide(_check_in(row), await connection.fetchval(_READ_CLOCK))
            await _save(connection, change.check_in)
            if change.events:
                await insert_events(connection, change.events)
        return True

    async def _one(self, statement: str, tenant_id: TenantId, check_in_id: CheckInId) -> CheckIn:
        if not is_uuid(check_in_id):
            raise not_found("check-in", check_in_id)
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            row = await connection.fetchrow(statement, tenant_id, check_in_id)
        if row is None:
            raise not_found("check-in", check_in_id)
        return _check_in(row)


class PostgresCheckInDeadlines:
    """See `rota.ports.check_in_store.CheckInDeadlines`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def next_deadline_in_seconds(self) -> float | None:
        row = await self._statements.fetch_one("looking for missed check-ins", _LOOK_NEXT_DEADLINE)
        return None if row is None else float(row["in_seconds"])

    async def mark_missed(self, limit: int) -> int:
        row = await self._statements.fetch_one("marking missed check-ins", _MARK_MISSED, limit)
        if row is None:
            raise Bug("a count is a row")
        return int(row["missed_count"])


async def _insert(connection: Connection, check_in: CheckIn, token_hash: bytes) -> None:
    try:
        await connection.execute(
            _INSERT_CHECK_IN,
            check_in.id,
            check_in.tenant_id,
            check_in.name,
            token_hash,
            check_in.cron,
            check_in.timezone,
            check_in.every_seconds,
            check_in.grace_seconds,
            check_in.state,
            check_in.created_at,
            check_in.created_by,
            check_in.expected_at,
            check_in.deadline_at,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", check_in.tenant_id) from error
    except asyncpg.UniqueViolationError as error:
        if "check_ins_tenant_id_name_key" not in str(error):
            raise Bug("a check-in's id or address was given out twice") from error
        raise name_taken(check_in.name) from error


async def _save(connection: Connection, check_in: CheckIn) -> None:
    await connection.execute(
        _SAVE_LOCKED,
        check_in.tenant_id,
        check_in.id,
        check_in.state,
        check_in.started_at,
        check_in.succeeded_at,
        check_in.failed_at,
        check_in.missed_at,
        check_in.expected_at,
        check_in.deadline_at,
        check_in.paused_at,
    )


async def _record(connection: Connection, event: EventDraft, audit: AuditEntry) -> None:
    await insert_events(connection, [event])
    await insert_audit(connection, event.tenant_id, audit)


def _check_in(row: Row) -> CheckIn:
    return CheckIn(
        CheckInId(str(row["id"])),
        TenantId(row["tenant_id"]),
        row["name"],
        row["cron"],
        row["timezone"],
        row["every_seconds"],
        row["grace_seconds"],
        row["state"],
        row["created_at"],
        row["created_by"],
        row["started_at"],
        row["succeeded_at"],
        row["failed_at"],
        row["missed_at"],
        row["expected_at"],
        row["deadline_at"],
        row["paused_at"],
        row["old_token_until"],
    )
