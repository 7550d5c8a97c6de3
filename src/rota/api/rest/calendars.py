"""Calendars of a tenant: days that its schedules' triggers share. A change plans the schedules that use one anew."""

from rota.api.authz import Access
from rota.api.rest.calendars_wire import (
    CALENDAR_EXAMPLE,
    IMPORT_EXAMPLE,
    CalendarImported,
    CalendarView,
    calendar_view,
)
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.api.rest.versions import etag, expected_version
from rota.domain.calendar import CalendarDays, CalendarRecord
from rota.services.calendar_verbs import CalendarImport

READ = Access("calendars", "read")
CHANGE = Access("calendars", "change")
ONE = "/calendars/{calendar_name}"


def _answer(calendar: CalendarRecord) -> Answer:
    return Answer(calendar_view(calendar), 200, {"ETag": etag(calendar.version)})


@endpoint(
    "PUT",
    ONE,
    CHANGE,
    body=CalendarDays,
    answers=(CalendarView,),
    version="optional",
    errors=("STATE_CONFLICT", "QUOTA_EXCEEDED"),
    example=CALENDAR_EXAMPLE,
)
async def put_calendar(call: Call[CalendarDays, Nothing]) -> Answer:
    """Create a calendar or change it; what uses it is planned anew before the answer. If-Match: only change."""
    version = expected_version(call.if_match)
    return _answer(await call.services.calendars.put(call.actor, call.path["calendar_name"], call.body, version))


@endpoint("GET", "/calendars", READ, query=PageQuery, answers=(PageBody[CalendarView],))
async def list_calendars(call: Call[Nothing, PageQuery]) -> Answer:
    """List calendars by name."""
    page = await call.services.ports.calendars.page(call.tenant_id, call.query.request())
    return Answer(page_body(tuple(calendar_view(one) for one in page.items), page))


@endpoint("GET", ONE, READ, answers=(CalendarView,))
async def get_calendar(call: Call[Nothing, Nothing]) -> Answer:
    """Read a calendar."""
    return _answer(await call.services.ports.calendars.get(call.tenant_id, call.path["calendar_name"]))


@endpoint(
    "POST",
    f"{ONE}/import",
    CHANGE,
    body=CalendarImport,
    answers=(CalendarImported,),
    version="optional",
    errors=("STATE_CONFLICT", "QUOTA_EXCEEDED"),
    example=IMPORT_EXAMPLE,
)
async def import_calendar(call: Call[CalendarImport, Nothing]) -> Answer:
    """Make the all-day events of an iCalendar file the days of a calendar, or show them (`dry_run`)."""
    version = expected_version(call.if_match)
    put = await call.services.calendars.import_file(call.actor, call.path["calendar_name"], call.body, version)
    view = None if put.calendar is None else calendar_view(put.calendar)
    return Answer(CalendarImported(view, put.read.days, put.read.ignored))


@endpoint(
    "DELETE",
    ONE,
    Access("calendars", "delete"),
    answers=(CalendarView,),
    version="optional",
    errors=("STATE_CONFLICT",),
)
async def delete_calendar(call: Call[Nothing, Nothing]) -> Answer:
    """Delete a calendar that no schedule uses."""
    name = call.path["calendar_name"]
    before = await call.services.ports.calendars.get(call.tenant_id, name)
    await call.services.calendars.delete(call.actor, name, expected_version(call.if_match))
    return Answer(calendar_view(before))


ENDPOINTS: tuple[Endpoint, ...] = (put_calendar, list_calendars, get_calendar, import_calendar, delete_calendar)
