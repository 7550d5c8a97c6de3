"""Calendars on the wire: the days stand flat beside name and version."""

from datetime import date, datetime

from msgspec import Struct

from rota.core.icalendar import IgnoredEvent
from rota.domain.calendar import CalendarDays, CalendarRecord, DateRange
from rota.domain.ids import TenantId
from rota.domain.triggers import Weekday

CALENDAR_EXAMPLE = {
    "dates": ["2026-05-15"],
    "ranges": [{"first": "2026-08-03", "last": "2026-08-14"}],
    "yearly": ["01-01", "easter+1", "12-25"],
}
IMPORT_EXAMPLE = {
    "ics": "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:New Year\r\nDTSTART;VALUE=DATE:20260101\r\n"
    "RRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}


class CalendarView(Struct, frozen=True, kw_only=True):
    """The whole of a calendar. `schedules_count` live schedules use it."""

    name: str
    tenant_id: TenantId
    version: int
    weekdays: tuple[Weekday, ...]
    dates: tuple[date, ...]
    ranges: tuple[DateRange, ...]
    yearly: tuple[str, ...]
    hours: tuple[str, ...]
    schedules_count: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class CalendarImported(Struct, frozen=True):
    """`calendar` is null for a dry run; `days` are those that the file gives, `ignored` its events that give none."""

    calendar: CalendarView | None
    days: CalendarDays
    ignored: tuple[IgnoredEvent, ...]


def calendar_view(calendar: CalendarRecord) -> CalendarView:
    days = {name: getattr(calendar.days, name) for name in CalendarDays.__struct_fields__}
    known = set(CalendarView.__struct_fields__) - set(days)
    return CalendarView(**days, **{name: getattr(calendar, name) for name in known})
