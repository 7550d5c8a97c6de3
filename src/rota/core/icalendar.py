"""The all-day events of an iCalendar file (RFC 5545) as days of a calendar.

Read: VEVENT with a DTSTART that is a date, DTEND (the day behind the last) or DURATION in days or weeks, RRULE of
FREQ=YEARLY on that very date (with COUNT or UNTIL: as dates), STATUS:CANCELLED. Everything else is told as ignored,
with its reason: nothing that is not understood becomes a day.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from msgspec import Struct

from rota.core.occurrences.instants import YEAR_FIRST, YEAR_LAST
from rota.domain.calendar import CalendarDays, DateRange
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

EVENTS_MAX = 5_000
EVENT_DAYS_MAX = 3_660
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_DURATION = re.compile(r"\+?P(?:(\d{1,4})W|(\d{1,4})D)")


class IgnoredEvent(Struct, frozen=True):
    """An event of the file that is no day of the calendar; `line` is where it begins, from 1."""

    line: int
    summary: str
    reason: str


class ReadCalendar(Struct, frozen=True):
    """What a file says."""

    days: CalendarDays
    ignored: tuple[IgnoredEvent, ...]


class _Unread(Exception):
    """Why an event is ignored."""


class _Event(Struct):
    line: int
    fields: dict[str, tuple[str, str]]
    """By name: parameters and value."""

    def value(self, name: str) -> str:
        return self.fields.get(name, ("", ""))[1]


def read_icalendar(text: str) -> ReadCalendar:
    """Raises INVALID_INPUT where `text` is no such file or has too many events."""
    if "BEGIN:VCALENDAR" not in text.upper():
        remedy = "send the text of an .ics file, which begins with BEGIN:VCALENDAR"
        raise invalid_input([FieldProblem("ics", "is no iCalendar file", remedy)])
    dates: set[date] = set()
    ranges: set[tuple[date, date]] = set()
    yearly: set[str] = set()
    ignored: list[IgnoredEvent] = []
    for count, event in enumerate(_events(text), start=1):
        if count > EVENTS_MAX:
            raise invalid_input([FieldProblem("ics", f"has more than {EVENTS_MAX} events", "send a part of it")])
        try:
            first, last = _days_of(event)
            recurring = _years_of(event, first)
        except _Unread as why:
            ignored.append(IgnoredEvent(event.line, event.value("SUMMARY")[:200], str(why)))
            continue
        if recurring is None:
            every = (first + timedelta(days=number) for number in range((last - first).days + 1))
            yearly.update(f"{day:%m-%d}" for day in every)
            continue
        for year_first in recurring:
            year_last = year_first + (last - first)
            if year_first == year_last:
                dates.add(year_first)
            else:
                ranges.add((year_first, year_last))
    days = CalendarDays(
        dates=tuple(sorted(dates)),
        ranges=tuple(DateRange(*one) for one in sorted(ranges)),
        yearly=tuple(sorted(yearly)),
    )
    return ReadCalendar(days, tuple(ignored))


def _events(text: str) -> Iterator[_Event]:
    """The events of a file, without the parts inside them (alarms)."""
    event: _Event | None = None
    inside = 0
    for number, line in _unfolded(text):
        head, _, value = line.partition(":")
        name, _, parameters = head.partition(";")
        name, value = name.strip().upper(), value.strip()
        if name == "BEGIN" and value.upper() == "VEVENT":
            event, inside = _Event(number, {}), 0
        elif event is None:
            continue
        elif name == "END" and value.upper() == "VEVENT":
            yield event
            event = None
        elif name in {"BEGIN", "END"}:
            inside += 1 if name == "BEGIN" else -1
        elif not inside:
            event.fields[name] = (parameters.upper(), value)


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Content lines with the number at which they begin: one that begins with white space continues the one before."""
    begun, whole = 0, ""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if line[:1] in {" ", "\t"}:
            whole += line[1:]
            continue
        if whole:
            yield begun, whole
        begun, whole = number, line
    if whole:
        yield begun, whole


def _days_of(event: _Event) -> tuple[date, date]:
    """First and last day."""
    if event.value("STATUS").upper() == "CANCELLED":
        raise _Unread("it is cancelled")
    if "RECURRENCE-ID" in event.fields or "RDATE" in event.fields or "EXDATE" in event.fields:
        raise _Unread("it has single changed dates (RECURRENCE-ID, RDATE, EXDATE)")
    first = _date(event.value("DTSTART"), "DTSTART")
    last = first
    if "DTEND" in event.fields:
        last = max(first, _date(event.value("DTEND"), "DTEND") - timedelta(days=1))
    elif "DURATION" in event.fields:
        found = _DURATION.fullmatch(event.value("DURATION").upper())
        if found is None:
            raise _Unread("its DURATION is not in whole days")
        last = first + timedelta(days=max(int(found[1] or 0) * 7 + int(found[2] or 0), 1) - 1)
    if (last - first).days > EVENT_DAYS_MAX:
        raise _Unread("it is longer than ten years")
    return first, last


def _years_of(event: _Event, first: date) -> list[date] | None:
    """The first day of each occurrence; None for one of each year without end."""
    if "RRULE" not in event.fields:
        return [first]
    parts = _parts(event.value("RRULE").upper())
    if parts.pop("FREQ", "") != "YEARLY" or parts.pop("INTERVAL", "1") != "1":
        raise _Unread("it recurs, but not each year")
    if parts.pop("BYMONTH", str(first.month)) != str(first.month):
        raise _Unread("its RRULE names other months than its start")
    if parts.pop("BYMONTHDAY", str(first.day)) != str(first.day):
        raise _Unread("its RRULE names other days than its start")
    parts.pop("WKST", None)
    count, until = parts.pop("COUNT", ""), parts.pop("UNTIL", "")
    if parts:
        raise _Unread(f"its RRULE has {', '.join(sorted(parts))}: write it as a yearly rule, such as 11-thu#4")
    if not count and not until:
        return None
    final = _date(until[:8], "UNTIL") if until else date(YEAR_LAST, 12, 31)
    left = int(count) if count.isdigit() and len(count) < 5 else YEAR_LAST - YEAR_FIRST
    years = (year for year in range(first.year, YEAR_LAST + 1) if _exists(first, year))
    found = [first.replace(year=year) for year, _ in zip(years, range(left), strict=False)]
    return [day for day in found if day <= final]


def _parts(rule: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in rule.split(";") if part)
    return {name: value for name, _, value in pairs}


def _exists(day: date, year: int) -> bool:
    try:
        day.replace(year=year)
    except ValueError:
        return False
    return True


def _date(text: str, name: str) -> date:
    found = _DATE.fullmatch(text)
    if found is None:
        raise _Unread("it is no all-day event" if name == "DTSTART" else f"its {name} is no date")
    try:
        read = date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise _Unread(f"its {name} is no date") from None
    if not YEAR_FIRST <= read.year <= YEAR_LAST:
        raise _Unread(f"its {name} is not between {YEAR_FIRST} and {YEAR_LAST}")
    return read
