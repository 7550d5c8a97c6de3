from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.core.occurrences import Occurrences, compile_trigger
from rota.domain.calendar import CalendarDays, DateRange, NamedCalendar
from rota.domain.triggers import Calendar, CronTrigger, IntervalTrigger, OnExcluded, Trigger, Weekday
from tests.property.occurrences.oracle import wall_clock
from tests.property.occurrences.patience import PATIENT

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_RUN = timedelta(days=45)
FARTHEST_DAYS = 31
QUARTER = timedelta(minutes=15)
"""All jobs, and all clock changes, of this test are on the quarter of an hour."""
CHANGES = (
    ("Europe/Paris", date(2026, 3, 29)),
    ("Europe/Paris", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Asia/Beirut", date(2026, 3, 29)),
    ("Asia/Beirut", date(2026, 10, 25)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("UTC", date(2026, 12, 31)),
)
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXPRESSIONS = (
    "0 9 * * *",
    "30 2 * * *",
    "0 */6 * * *",
    "15,45 0,23 * * *",
    "0 12 * * 1",
    "0 0 1,15 * *",
    "30 1 * * 6,0",
)


Named = tuple[NamedCalendar, ...]


def has_day(days: CalendarDays, day: date) -> bool:
    ranged = any(one.first <= day <= one.last for one in days.ranges)
    return day in days.dates or WEEKDAYS[day.weekday()] in days.weekdays or ranged


def is_allowed(calendar: Calendar, day: date, named: Named = ()) -> bool:
    known = {one.name: one.days for one in named}
    if day in calendar.include_dates:
        return True
    if any(not known[name].hours and has_day(known[name], day) for name in calendar.exclude):
        return False
    if calendar.only_on and not any(has_day(known[name], day) for name in calendar.only_on):
        return False
    if day in calendar.exclude_dates or f"{day.month:02}-{day.day:02}" in calendar.exclude_annual:
        return False
    return not calendar.weekdays or WEEKDAYS[day.weekday()] in calendar.weekdays


@lru_cache(maxsize=10_000)
def at_local_time(zone: str, local: datetime) -> datetime:
    """The first quarter of an hour at which the zone's clock shows `local` or, where it never does, is past it."""
    instant = local.replace(tzinfo=UTC) - timedelta(hours=15)
    while instant.astimezone(wall_clock(zone)).replace(tzinfo=None) < local:
        instant += QUARTER
    return instant


def is_open(calendar: Calendar, zone: str, named: Named, fire: datetime) -> bool:
    """As to the hours of the day on which it is made."""
    known = {one.name: one.days for one in named}
    local = fire.astimezone(wall_clock(zone)).replace(tzinfo=None)

    def at_hours(days: CalendarDays) -> bool:
        shown = f"{local:%H:%M}"
        return any(shown >= window[:5] and (shown < window[6:]) for window in days.hours)

    if any(
        known[name].hours and has_day(known[name], local.date()) and at_hours(known[name]) for name in calendar.exclude
    ):
        return False
    if local.date() in calendar.include_dates:
        return True
    on = [known[name] for name in calendar.only_on if has_day(known[name], local.date())]
    return not on or any(not days.hours or at_hours(days) for days in on)


def landed(calendar: Calendar, zone: str, named: Named, fire: datetime) -> datetime | None:
    local = fire.astimezone(wall_clock(zone)).replace(tzinfo=None)
    direction = -1 if calendar.on_excluded == "previous_business_day" else 1
    for days in range(FARTHEST_DAYS + 1):
        day = local.date() + timedelta(days=direction * days)
        if is_allowed(calendar, day, named):
            return at_local_time(zone, datetime.combine(day, local.time())) if days else fire
    return None


def expected_fires(
    calendar: Calendar, zone: str, named: Named, raw: Occurrences, span: tuple[datetime, datetime]
) -> list[datetime]:
    low, high = span
    behind = LONGEST_RUN if calendar.on_excluded == "previous_business_day" else timedelta()
    before = LONGEST_RUN if calendar.on_excluded == "next_business_day" else timedelta()
    every_raw = raw.between(low - before, high + behind, 20_000)
    if calendar.on_excluded == "skip":
        kept = {fire for fire in every_raw if is_allowed(calendar, fire.astimezone(wall_clock(zone)).date(), named)}
    else:
        moved = (landed(calendar, zone, named, fire) for fire in every_raw)
        kept = {fire for fire in moved if fire is not None}
    return sorted(fire for fire in kept if low < fire <= high and is_open(calendar, zone, named, fire))


@st.composite
def named_calendars(draw: st.DrawFn, middle: date) -> Named:
    """Two, of which a trigger may name either, none or both."""
    near = st.integers(-4, 4).map(lambda number: middle + timedelta(days=number))
    windows = st.sampled_from([(), (), ("09:00-17:00",), ("00:00-02:30", "12:00-24:00"), ("01:30-01:45",)])
    return tuple(
        NamedCalendar(
            name,
            1,
            CalendarDays(
                weekdays=tuple(draw(st.sampled_from([(), WEEKDAYS[:5], ("wed",)]))),
                dates=tuple(draw(st.lists(near, max_size=4))),
                ranges=tuple(DateRange(first, first + timedelta(days=2)) for first in draw(st.lists(near, max_size=1))),
                hours=draw(windows),
            ),
        )
        for name in ("a", "b")
    )


@st.composite
def calendars(
    draw: st.DrawFn, middle: date, zone: str | None, on_excluded: OnExcluded, *, named: bool = False
) -> Calendar:
    """Most of what it excludes and includes lies within days of `middle`."""
    near = st.integers(-4, 4).map(lambda number: middle + timedelta(days=number))
    closed = draw(st.just(()) | st.dates(middle - timedelta(days=50), middle).map(lambda first: days_from(first, 45)))
    return Calendar(
        exclude_dates=(*draw(st.lists(near, max_size=6)), *closed),
        exclude_annual=tuple(draw(st.lists(near.map(lambda day: f"{day.month:02}-{day.day:02}"), max_size=2))),
        weekdays=tuple(draw(st.sampled_from([(), (), WEEKDAYS[:5], ("mon", "thu"), ("sun",)]))),
        include_dates=tuple(draw(st.lists(near, max_size=2))),
        timezone=zone,
        on_excluded=on_excluded,
        exclude=draw(st.sampled_from([(), ("a",), ("a", "b")])) if named else (),
        only_on=draw(st.sampled_from([(), ("b",), ("b", "a")])) if named else (),
    )


def days_from(first: date, count: int) -> tuple[date, ...]:
    return tuple(first + timedelta(days=number) for number in range(count))


def triggers(zone: str, calendar: Calendar | None) -> Iterator[Trigger]:
    for expression in EXPRESSIONS:
        yield CronTrigger(expression, timezone=zone, calendar=calendar)
    yield IntervalTrigger(5 * 3600.0, calendar=calendar)


@settings(PATIENT, max_examples=400)
@given(
    st.data(),
    st.sampled_from(CHANGES),
    st.sampled_from([None, "UTC", "America/New_York"]),
    st.sampled_from(["skip", "next_business_day", "previous_business_day"]),
    st.booleans(),
    st.integers(0, len(EXPRESSIONS)),
)
def test_fires_on_a_calendar_are_those_of_the_oracle(
    data: st.DataObject,
    change: tuple[str, date],
    calendar_zone: str | None,
    on_excluded: OnExcluded,
    with_named: bool,  # noqa: FBT001 - drawn
    which: int,
) -> None:
    zone, middle = change
    calendar = data.draw(calendars(middle, calendar_zone, on_excluded, named=with_named))
    named = data.draw(named_calendars(middle)) if with_named else ()
    low = datetime(middle.year, middle.month, middle.day, tzinfo=UTC) - timedelta(days=7)
    high = low + timedelta(days=14)
    trigger, without = list(triggers(zone, calendar))[which], list(triggers(zone, None))[which]
    dates_zone = calendar_zone or (zone if isinstance(trigger, CronTrigger) else "UTC")
    anchor = low - timedelta(days=60)
    raw = compile_trigger(without, hash_key="", anchor=anchor)

    found = compile_trigger(trigger, hash_key="", anchor=anchor, calendars=named).between(low, high, 10_000)

    assert found == expected_fires(calendar, dates_zone, named, raw, (low, high))
