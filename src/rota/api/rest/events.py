"""Events: what happened, newest first by page, oldest first behind a cursor, or live. A tenant sees its own; the
platform's and all tenants' are another resource, which only a platform_admin may read.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, StreamAnswer, endpoint
from rota.api.rest.page_wire import PageQuery
from rota.api.rest.sse import CURSOR_CHARACTERS_MAX, Frame, Turn, stream
from rota.domain.errors import DomainError, invalid_input
from rota.domain.event import EVENT_TYPES, Event
from rota.domain.ids import TenantId
from rota.domain.page import PageRequest
from rota.domain.problems import FieldProblem
from rota.ports.tenant_store import EventFilter

DAYS_MAX = 90
STREAM_BATCH = 200

OWN = Access("events", "read")
ALL = Access("platform_events", "read")

Types = Annotated[str, Meta(max_length=1_000, description="One event type, or several with commas between them.")]
Subject = Annotated[str, Meta(max_length=200, description="The id of what the event is about.")]
EventCursor = Annotated[
    str, Meta(min_length=1, max_length=CURSOR_CHARACTERS_MAX, description="The `cursor` of an event: what came after.")
]


class EventQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All given conditions must hold. With `after` the answer is oldest first, behind that event."""

    type: Types | None = None
    event_type: Types | None = None
    subject: Subject | None = None
    days: Annotated[int, Meta(ge=1, le=DAYS_MAX, description="Only the last so many days.")] | None = None
    after: EventCursor | None = None


class EventStreamQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Without Last-Event-ID and `after`, the stream begins with what happens next."""

    type: Types | None = None
    subject: Subject | None = None
    after: EventCursor | None = None


class DateFilter(Struct, frozen=True):
    """What `days` came to."""

    days: int
    cutoff_date: datetime
    showing_events_since: datetime


class EventPage(Struct, frozen=True):
    """A page of events. Behind `after`, `next_cursor` is always given: pass it back as `after` to read on later."""

    items: tuple[Event, ...]
    total_count: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None
    date_filter: DateFilter | None = None


def _types(text: str | None, field: str = "type") -> tuple[str, ...]:
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    unknown = [name for name in names if name not in EVENT_TYPES]
    if unknown:
        remedy = f"use one of: {', '.join(sorted(EVENT_TYPES))}"
        raise invalid_input([FieldProblem(field, f"{unknown[0]!r} is no event type", remedy)])
    return names


async def _page(call: Call[Nothing, EventQuery], tenant_id: TenantId | None) -> Answer:
    query, store = call.query, call.services.ports.events
    dates = await _date_filter(call)
    where = EventFilter(
        tenant_id,
        _types(query.type) + _types(query.event_type, "event_type"),
        query.subject,
        dates.cutoff_date if dates else None,
    )
    if query.after is None:
        page = await store.page(where, query.request())
        return Answer(
            EventPage(page.items, page.total_count, page.limit, page.offset, page.has_more, page.next_cursor, dates)
        )
    behind = await _after(call, where, ("after", query.after), query.limit + 1)
    total = (await store.page(where, PageRequest(limit=1))).total_count
    items = behind[: query.limit]
    resume = items[-1].cursor if items else query.after
    return Answer(EventPage(items, total, query.limit, 0, len(behind) > query.limit, resume, dates))


async def _after(call: Call[Any, Any], where: EventFilter, given: tuple[str, str], limit: int) -> tuple[Event, ...]:
    """Events behind a cursor; `given` has the name under which the caller sent it, so that a refusal says that name."""
    name, cursor = given
    try:
        return await call.services.ports.events.after(where, cursor, limit)
    except DomainError as refused:
        if refused.code != "INVALID_INPUT":
            raise
        raise invalid_input([FieldProblem(name, one.problem, one.remedy) for one in refused.problems]) from refused


async def _date_filter(call: Call[Nothing, EventQuery]) -> DateFilter | None:
    if call.query.days is None:
        return None
    since = await call.services.schedules.now() - timedelta(days=call.query.days)
    return DateFilter(call.query.days, since, since)


async def _stream(call: Call[Nothing, EventStreamQuery], tenant_id: TenantId | None) -> StreamAnswer:
    store = call.services.ports.events
    where = EventFilter(tenant_id, _types(call.query.type), call.query.subject)
    given = ("Last-Event-ID", call.last_event_id) if call.last_event_id else ("after", call.query.after)
    if given[1] is None:
        newest = await store.page(EventFilter(tenant_id), PageRequest(limit=1))
        cursor = newest.items[0].cursor if newest.items else None
    else:
        cursor = given[1]
        await _after(call, where, (given[0], cursor), 1)

    async def look() -> Turn:
        nonlocal cursor
        events = await store.after(where, cursor, STREAM_BATCH)
        if events:
            cursor = events[-1].cursor
        frames = tuple(Frame(event, id=event.cursor) for event in events)
        return Turn(frames, again=len(events) == STREAM_BATCH)

    return stream(call, look)


@endpoint("GET", "/events", OWN, query=EventQuery, answers=(EventPage,))
async def list_events(call: Call[Nothing, EventQuery]) -> Answer:
    """List the tenant's events."""
    return await _page(call, call.tenant_id)


@endpoint("GET", "/events/stream", OWN, query=EventStreamQuery, content_type="text/event-stream")
async def stream_events(call: Call[Nothing, EventStreamQuery]) -> StreamAnswer:
    """Follow the tenant's events; resumes behind Last-Event-ID."""
    return await _stream(call, call.tenant_id)


@endpoint("GET", "/platform/events", ALL, query=EventQuery, answers=(EventPage,))
async def list_platform_events(call: Call[Nothing, EventQuery]) -> Answer:
    """List the platform's own and all tenants' events."""
    return await _page(call, None)


@endpoint("GET", "/platform/events/stream", ALL, query=EventStreamQuery, content_type="text/event-stream")
async def stream_platform_events(call: Call[Nothing, EventStreamQuery]) -> StreamAnswer:
    """Follow the platform's own and all tenants' events; resumes behind Last-Event-ID."""
    return await _stream(call, None)


ENDPOINTS: tuple[Endpoint, ...] = (list_events, stream_events, list_platform_events, stream_platform_events)
