"""The events log: facts written in the transaction that makes them true, read by a cursor that skips no late commit.

A transaction's number is given at its first write, so one with a lower number may commit after one with a higher.
`after` therefore shows only transactions below the snapshot's xmin: all of those have ended, and whatever is still open
will appear ahead of every cursor given out so far. A long writing transaction anywhere in the cluster holds the log's
readers back; it never makes them miss anything. `page` is history for people and shows all that is committed.

A restored store counts on from above every number that was ever given out (`scheduler.begin_timeline`).
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from rota.domain.event import Event, EventDraft
from rota.domain.page import Page, PageRequest
from rota.ports.tenant_store import EventFilter
from rota.storage.event_cursor import EVENT_CURSOR_END, EVENT_CURSOR_START, decode_event_cursor, encode_event_cursor
from rota.storage.event_drafts import refuse_unknown_types
from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_INSERT_EVENTS = query("events/insert_events")
_AFTER_IN_TENANT = query("events/after_in_tenant")
_AFTER_IN_PLATFORM = query("events/after_in_platform")
_PAGE_IN_TENANT = query("events/page_in_tenant")
_PAGE_IN_PLATFORM = query("events/page_in_platform")
_AFTER_OF_SUBJECT = query("events/after_of_subject")
_PAGE_OF_SUBJECT = query("events/page_of_subject")

EVENTS_PER_STATEMENT_MAX = 10_000

_DATA: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


async def insert_events(connection: Connection, drafts: Sequence[EventDraft]) -> None:
    """Inside the caller's transaction. A type that is not in the catalogue is a Bug."""
    checked = refuse_unknown_types(drafts)
    for start in range(0, len(checked), EVENTS_PER_STATEMENT_MAX):
        batch = checked[start : start + EVENTS_PER_STATEMENT_MAX]
        await connection.execute(_INSERT_EVENTS, msgspec.json.encode(batch).decode())


class PostgresEventStore:
    """See `rota.ports.tenant_store.EventStore`. A tenant's events go through the api login, others the service's."""

    def __init__(self, api_pool: Pool, service_pool: Pool) -> None:
        self._api_pool = api_pool
        self._service_pool = service_pool

    async def append(self, events: tuple[EventDraft, ...]) -> None:
        tenants = {draft.tenant_id for draft in events}
        tenant_id = tenants.pop() if len(tenants) == 1 else None
        with refusing_unstorable_text():
            if tenant_id is None:
                async with transaction(self._service_pool, doing="recording events") as connection:
                    await insert_events(connection, events)
            else:
                async with tenant_transaction(self._api_pool, tenant_id) as connection:
                    await insert_events(connection, events)

    async def after(self, where: EventFilter, cursor: str | None, limit: int) -> tuple[Event, ...]:
        start = EVENT_CURSOR_START if cursor is None else decode_event_cursor(cursor)
        arguments = (*_arguments(start, where), limit)
        rows = await self._fetch(where, _AFTER, arguments)
        return tuple(_event(row) for row in rows)

    async def page(self, where: EventFilter, page: PageRequest) -> Page[Event]:
        end = EVENT_CURSOR_END if page.cursor is None else decode_event_cursor(page.cursor)
        offset = page.offset if page.cursor is None else 0
        arguments = (*_arguments(end, where), page.limit + 1, offset)
        rows = await self._fetch(where, _PAGE, arguments)
        found = [_event(row) for row in rows if row["id"] is not None]
        shown = tuple(found[: page.limit])
        next_cursor = shown[-1].cursor if len(found) > page.limit else None
        return Page(shown, rows[0]["total_count"], page.limit, page.offset, next_cursor)

    async def _fetch(self, where: EventFilter, reading: "_Reading", arguments: tuple[object, ...]) -> list[Row]:
        statement, arguments = reading.choose(where, arguments)
        with refusing_unstorable_text():
            if where.tenant_id is None:
                async with transaction(self._service_pool, readonly=True, doing="reading events") as connection:
                    return await connection.fetch(statement, *arguments)
            async with tenant_transaction(self._api_pool, where.tenant_id, readonly=True) as connection:
                return await connection.fetch(statement, *arguments)


class _Reading(msgspec.Struct, frozen=True):
    """The statements of one way to read: each scope walks an index of its own."""

    in_tenant: str
    in_platform: str
    of_subject: str

    def choose(self, where: EventFilter, arguments: tuple[object, ...]) -> tuple[str, tuple[object, ...]]:
        """The statement for this filter, and its arguments."""
        if where.subject:
            return self.of_subject, (where.tenant_id, *arguments, where.subject)
        if where.tenant_id is not None:
            return self.in_tenant, (where.tenant_id, *arguments)
        return self.in_platform, arguments


_AFTER = _Reading(_AFTER_IN_TENANT, _AFTER_IN_PLATFORM, _AFTER_OF_SUBJECT)
_PAGE = _Reading(_PAGE_IN_TENANT, _PAGE_IN_PLATFORM, _PAGE_OF_SUBJECT)


def _arguments(position: tuple[int, str], where: EventFilter) -> tuple[object, ...]:
    txid, event_id = position
    return str(txid), event_id, list(where.types), where.since


def _event(row: Row) -> Event:
    event_id = str(row["id"])
    return Event(
        id=event_id,
        cursor=encode_event_cursor(int(row["txid"]), event_id),
        type=row["type"],
        at=row["at"],
        tenant_id=row["tenant_id"],
        subject=row["subject"],
        actor=row["actor"],
        data=_DATA.decode(row["data"]),
    )
