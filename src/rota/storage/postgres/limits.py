"""Limits in PostgreSQL, through the service login. Claims heed them inside their own statements (`room_of`).

A limit is set while no claim is under way: what runs already is counted in, and later claims see the limit. So it holds
from its first moment, whoever was claiming.
"""

from rota.domain.errors import not_found
from rota.domain.event import EventDraft
from rota.domain.limit import Limit, LimitKind, LimitState
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry
from rota.storage.page_cursor import decode_cursor
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_HOLD_CLAIMS = query("limits/hold_claims")
_PUT_LIMIT = query("limits/put_limit")
_LOCK_LIMIT = query("limits/lock_limit")
_DELETE_LOCKED = query("limits/delete_locked")
_COUNT_IN = query("limits/count_in")
_READ_LIMIT = query("limits/read_limit")
_PAGE_LIMITS = query("limits/page_limits")


class PostgresLimitStore:
    """See `rota.ports.limit_store.LimitStore`."""

    def __init__(self, service_pool: Pool) -> None:
        self._pool = service_pool

    async def put(self, limit: Limit, audit: AuditEntry) -> Limit:
        with refusing_unstorable_text():
            async with transaction(self._pool, doing="setting a limit") as connection:
                await connection.execute(_HOLD_CLAIMS)
                known = await connection.fetchrow(_LOCK_LIMIT, limit.kind, limit.name)
                if known is not None and _bounds(_limit(known)) == _bounds(limit):
                    return _limit(known)
                row = await connection.fetchrow(_PUT_LIMIT, limit.kind, limit.name, *_bounds(limit), limit.updated_by)
                assert row is not None, "it is inserted or updated"
                queue, tenant = (limit.name, None) if limit.kind == "queue" else (None, limit.name)
                await connection.execute(_COUNT_IN, queue, tenant)
                await _record(connection, "LimitSet", _limit(row), audit)
                return _limit(row)

    async def remove(self, kind: LimitKind, name: str, audit: AuditEntry) -> Limit:
        with refusing_unstorable_text():
            async with transaction(self._pool, doing="removing a limit") as connection:
                row = await connection.fetchrow(_LOCK_LIMIT, kind, name)
                if row is None:
                    raise not_found(f"limit of the {kind}", name)
                await connection.execute(_DELETE_LOCKED, kind, name)
                await _record(connection, "LimitRemoved", _limit(row), audit)
                return _limit(row)

    async def get(self, kind: LimitKind, name: str) -> LimitState:
        with refusing_unstorable_text():
            async with transaction(self._pool, doing="reading a limit") as connection:
                row = await connection.fetchrow(_READ_LIMIT, kind, name)
        if row is None:
            raise not_found(f"limit of the {kind}", name)
        return _state(row)

    async def page(self, page: PageRequest) -> Page[LimitState]:
        kind, name = ("", "") if page.cursor is None else decode_cursor(page.cursor, 2)
        offset = page.offset if page.cursor is None else 0
        async with transaction(self._pool, doing="listing limits") as connection:
            rows = await connection.fetch(_PAGE_LIMITS, kind, name, page.limit + 1, offset)
        return page_of_rows(rows, page, _state, lambda state: (state.limit.kind, state.limit.name))


async def _record(connection: Connection, event_type: str, limit: Limit, audit: AuditEntry) -> None:
    facts = {
        "kind": limit.kind,
        "concurrency_max": limit.concurrency_max,
        "rate_per_second": limit.rate_per_second,
        "burst": limit.burst,
    }
    await insert_events(connection, [EventDraft(event_type, None, limit.name, audit.actor, facts)])
    await insert_audit(connection, None, audit)


def _bounds(limit: Limit) -> tuple[int | None, float | None, int | None]:
    return limit.concurrency_max, limit.rate_per_second, limit.burst


def _limit(row: Row) -> Limit:
    return Limit(
        row["kind"],
        row["name"],
        row["updated_at"],
        row["updated_by"],
        row["concurrency_max"],
        row["rate_per_second"],
        row["burst"],
        row["version"],
    )


def _state(row: Row) -> LimitState:
    return LimitState(_limit(row), row["running_count"], row["room"])
