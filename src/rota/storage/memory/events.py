"""The events log in memory: the oracle of `rota.storage.postgres.events`. Transactions commit as they began."""

from rota.domain.event import Event, EventDraft
from rota.domain.page import Page, PageRequest
from rota.ports.tenant_store import EventFilter
from rota.storage.event_cursor import EVENT_CURSOR_START, decode_event_cursor, encode_event_cursor
from rota.storage.memory.database import MemoryDatabase, StoredEvent


class MemoryEventStore:
    """See `rota.ports.tenant_store.EventStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def append(self, events: tuple[EventDraft, ...]) -> None:
        self._database.record_events(events)

    async def after(self, where: EventFilter, cursor: str | None, limit: int) -> tuple[Event, ...]:
        start = EVENT_CURSOR_START if cursor is None else decode_event_cursor(cursor)
        behind = [stored for stored in self._matching(where) if _position(stored) > start]
        return tuple(_event(stored) for stored in behind[:limit])

    async def page(self, where: EventFilter, page: PageRequest) -> Page[Event]:
        newest_first = self._matching(where)[::-1]
        if page.cursor is None:
            rest = newest_first[page.offset :]
        else:
            end = decode_event_cursor(page.cursor)
            rest = [stored for stored in newest_first if _position(stored) < end]
        shown = tuple(_event(stored) for stored in rest[: page.limit])
        next_cursor = shown[-1].cursor if len(rest) > page.limit else None
        return Page(shown, len(newest_first), page.limit, page.offset, next_cursor)

    def _matching(self, where: EventFilter) -> list[StoredEvent]:
        return sorted((stored for stored in self._database.events if _matches(stored, where)), key=_position)


def _position(stored: StoredEvent) -> tuple[int, str]:
    return stored.txid, stored.id


def _matches(stored: StoredEvent, where: EventFilter) -> bool:
    return (
        (where.tenant_id is None or stored.draft.tenant_id == where.tenant_id)
        and (not where.types or stored.draft.type in where.types)
        and (not where.subject or stored.draft.subject == where.subject)
        and (where.since is None or stored.at >= where.since)
    )


def _event(stored: StoredEvent) -> Event:
    draft = stored.draft
    return Event(
        id=stored.id,
        cursor=encode_event_cursor(stored.txid, stored.id),
        type=draft.type,
        at=stored.at,
        tenant_id=draft.tenant_id,
        subject=draft.subject,
        actor=draft.actor,
        data=draft.data,
    )
