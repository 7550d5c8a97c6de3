from datetime import UTC, date, datetime

import pytest
from msgspec.structs import replace

from rota.core.calendar_rules import calendar_problems, replanned
from rota.core.icalendar import read_icalendar
from rota.core.occurrences import compile_trigger, preview
from rota.core.occurrences.instants import day_number
from rota.core.occurrences.named_days import DaySet, easter_sunday
from rota.domain.calendar import CalendarDays, DateRange, NamedCalendar
from rota.domain.errors import DomainError
from rota.domain.ids import ScheduleId, TriggerId
from rota.domain.schedule import TriggerState
from rota.domain.triggers import Calendar, CronTrigger, IntervalTrigger, Trigger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = ScheduleId("s")


def named(name: str, version: int = 1, **days: object) -> NamedCalendar:
    return NamedCalendar(name, version, replace(CalendarDays(), **days))


@pytest.mark.parametrize(
    ("rule", "year", "day"),
    [
        ("12-25", 2026, date(2026, 12, 25)),
        ("02-29", 2028, date(2028, 2, 29)),
        ("11-thu#4", 2026, date(2026, 11, 26)),
        ("05-mon#-1", 2026, date(2026, 5, 25)),
        ("12-thu#-1", 2026, date(2026, 12, 31)),
        ("01-mon#1", 2026, date(2026, 1, 5)),
        ("easter", 2026, date(2026, 4, 5)),
        ("easter+1", 2026, date(2026, 4, 6)),
        ("easter-2", 2027, date(2027, 3, 26)),
        ("easter+39", 2026, date(2026, 5, 14)),
    ],
)
def test_a_yearly_rule_names_its_day(rule: str, year: int, day: date) -> None:
    days = DaySet(named("a", yearly=(rule,)))
    of_year = range(day_number(date(year, 1, 1)), day_number(date(year + 1, 1, 1)))
    assert [one for one in of_year if one in days] == [day_number(day)]


def test_a_fifth_weekday_that_a_month_has_not_is_no_day() -> None:
    days = DaySet(named("a", yearly=("02-mon#5",)))
    assert not [day for day in range(day_number(date(2026, 1, 1)), day_number(date(2027, 1, 1))) if day in days]


def test_easter_is_where_the_tables_have_it() -> None:
    known = [date(2000, 4, 23), date(2008, 3, 23), date(2011, 4, 24), date(2019, 4, 21), date(2038, 4, 25)]
    assert [easter_sunday(day.year) for day in known] == known


@pytest.mark.parametrize(
    ("days", "fields"),
    [
        (CalendarDays(), [""]),
        (CalendarDays(yearly=("02-30", "13-01", "05-mon#6", "easter+300")), [f"yearly[{n}]" for n in range(4)]),
        (
            CalendarDays(weekdays=("mon",), hours=("17:00-09:00", "9-17", "00:00-24:01")),
            [f"hours[{n}]" for n in range(3)],
        ),
        (CalendarDays(ranges=(DateRange(date(2026, 3, 2), date(2026, 3, 1)),)), ["ranges[0].last"]),
        (CalendarDays(dates=(date(1066, 10, 14),)), ["dates"]),
    ],
)
def test_what_is_wrong_is_told_by_field(days: CalendarDays, fields: list[str]) -> None:
    assert [problem.field for problem in calendar_problems("holidays", days)] == fields
    assert [problem.field for problem in calendar_problems("a b", CalendarDays(weekdays=("mon",)))] == ["name"]


def test_a_calendar_that_is_not_there_is_invalid_input() -> None:
    with pytest.raises(DomainError) as refused:
        compile_trigger(CronTrigger("0 9 * * *", calendar=Calendar(only_on=("gone",))), hash_key="", anchor=NOON)
    assert [problem.field for problem in refused.value.problems] == ["calendar.only_on[0]"]


def shown(trigger: Trigger, *calendars: NamedCalendar, limit: int = 2) -> list[tuple[str, bool, str | None]]:
    found = preview(compile_trigger(trigger, hash_key="", anchor=NOON, calendars=calendars), NOON, limit)
    return [(f"{item.fire_at:%m-%d %H:%M}", item.fires, item.note) for item in found]


def test_the_preview_names_the_calendar_that_keeps_a_time_from_firing() -> None:
    workweek, holidays = named("workweek", weekdays=("mon", "tue", "wed", "thu", "fri")), named("h", yearly=("03-02",))
    rule = Calendar(exclude=("h",), only_on=("workweek",), on_excluded="previous_business_day")
    assert shown(CronTrigger("0 9 * * 0-2", calendar=rule), workweek, holidays, limit=2) == [
        ("03-02 09:00", False, "2026-03-02: calendar 'h' excludes this date; fires on 2026-02-27 instead"),
        ("03-03 09:00", True, None),
        ("03-06 09:00", True, "moved from 2026-03-08: the date is not in calendar 'workweek'"),
    ]


def test_the_preview_tells_of_excluded_hours() -> None:
    office = named("office", weekdays=("mon",), hours=("09:00-11:00",))
    trigger = IntervalTrigger(3600.0, calendar=Calendar(only_on=("office",)))
    found = shown(trigger, office, limit=3)
    assert [(at, fires) for at, fires, _ in found if fires] == [
        ("03-02 09:00", True),
        ("03-02 10:00", True),
        ("03-09 09:00", True),
    ]
    assert ("03-02 00:00", False, "2026-03-02: it is outside the hours of calendar 'office'; not fired") in found


def test_a_blackout_of_some_hours_drops_only_those() -> None:
    window = named("maintenance", weekdays=("sun",), hours=("13:00-15:00",))
    trigger = IntervalTrigger(3600.0, calendar=Calendar(exclude=("maintenance",)))
    fires = [at for at, fires, _ in shown(trigger, window) if fires]
    assert fires == ["03-01 15:00", "03-01 16:00"]


def at_nine(version: int, **days: object) -> TriggerState:
    spec = CronTrigger("0 9 * * *", calendar=Calendar(exclude=("h",)))
    due = datetime(2026, 3, 1, 9, tzinfo=UTC)
    return TriggerState(TriggerId("t"), spec, NOON, due, calendars=(named("h", version, **days),))


def test_what_was_due_is_looked_at_again_by_the_new_calendar() -> None:
    """Due three hours ago and undecided: it stays due where it is allowed, and is not where it no more is."""
    allowed = replanned(ID, at_nine(1), named("h", 2, dates=(date(2026, 3, 2),)), NOON, fires=True)
    excluded = replanned(ID, at_nine(1), named("h", 2, dates=(date(2026, 3, 1),)), NOON, fires=True)
    assert allowed.next_fire_at == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert excluded.next_fire_at == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_a_time_that_is_allowed_again_but_past_does_not_fire() -> None:
    waiting = replace(at_nine(1, dates=(date(2026, 3, 1),)), next_fire_at=datetime(2026, 3, 2, 9, tzinfo=UTC))
    after = replanned(ID, waiting, named("h", 2, dates=(date(2026, 12, 25),)), NOON, fires=True)
    assert after.next_fire_at == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_a_trigger_that_does_not_use_it_stays_as_it_is_and_a_paused_one_stays_silent() -> None:
    assert replanned(ID, at_nine(1), named("other", 2), NOON, fires=True) == at_nine(1)
    paused = replace(at_nine(1), next_fire_at=None)
    assert replanned(ID, paused, named("h", 2), NOON, fires=False) == replace(paused, calendars=(named("h", 2),))


ICS = """BEGIN:VCALENDAR
BEGIN:VEVENT
SUMMARY:New Year
DTSTART;VALUE=DATE:20200101
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
SUMMARY:Founding
  day
DTSTART;VALUE=DATE:20260515
DTEND;VALUE=DATE:20260516
BEGIN:VALARM
DTSTART;VALUE=DATE:19990101
END:VALARM
END:VEVENT
BEGIN:VEVENT
SUMMARY:Summer
DTSTART;VALUE=DATE:20260803
DURATION:P2W
END:VEVENT
BEGIN:VEVENT
SUMMARY:Thrice
DTSTART;VALUE=DATE:20260601
RRULE:FREQ=YEARLY;COUNT=3
END:VEVENT
BEGIN:VEVENT
SUMMARY:Until
DTSTART;VALUE=DATE:20260701
RRULE:FREQ=YEARLY;UNTIL=20270701T000000Z
END:VEVENT
BEGIN:VEVENT
SUMMARY:Meeting
DTSTART:20260515T090000Z
END:VEVENT
BEGIN:VEVENT
SUMMARY:Gone
STATUS:CANCELLED
DTSTART;VALUE=DATE:20260516
END:VEVENT
BEGIN:VEVENT
SUMMARY:Thanksgiving
DTSTART;VALUE=DATE:20261126
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


def test_all_day_events_of_a_file_become_days_and_the_rest_is_told() -> None:
    read = read_icalendar(ICS)
    assert read.days == CalendarDays(
        dates=tuple(
            date(*one) for one in ((2026, 5, 15), (2026, 6, 1), (2026, 7, 1), (2027, 6, 1), (2027, 7, 1), (2028, 6, 1))
        ),
        ranges=(DateRange(date(2026, 8, 3), date(2026, 8, 16)),),
        yearly=("01-01",),
    )
    assert [(one.line, one.summary) for one in read.ignored] == [(31, "Meeting"), (35, "Gone"), (40, "Thanksgiving")]
    assert [one.reason for one in read.ignored] == [
        "it is no all-day event",
        "it is cancelled",
        "its RRULE has BYDAY: write it as a yearly rule, such as 11-thu#4",
    ]


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VEVENT\nEND:VEVENT"])
def test_what_is_no_icalendar_file_is_refused(text: str) -> None:
    with pytest.raises(DomainError) as refused:
        read_icalendar(text)
    assert [problem.field for problem in refused.value.problems] == ["ics"]
