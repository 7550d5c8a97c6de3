from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.core.occurrences import Occurrences, compile_trigger
from rota.domain.triggers import Calendar, CronTrigger, IntervalTrigger, OnExcluded, Trigger, Weekday
from tests.property.occurrences.oracle import wall_clock

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_RUN = timedelta(days=45)
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Pacific/Apia")
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


def is_allowed(calendar: Calendar, day: date) -> bool:
    if day in calendar.include_dates:
        return True
    if day in calendar.exclude_dates or f"{day.month:02}-{day.day:02}" in calendar.exclude_annual:
        return False
    return not calendar.weekdays or WEEKDAYS[day.weekday()] in calendar.weekdays


def at_local_time(zone: str, local: datetime) -> datetime:
    """The first minute at which the zone's clock shows `local` or, where it never does, has gone past it."""
    instant = local.replace(tzinfo=UTC) - timedelta(hours=15)
    while instant.astimezone(wall_clock(zone)).replace(tzinfo=None) < local:
        instant += timedelta(minutes=1)
    return instant


def landed(calendar: Calendar, zone: str, fire: datetime) -> datetime:
    local = fire.astimezone(wall_clock(zone)).replace(tzinfo=None)
    day = local.date()
    while not is_allowed(calendar, day):
        day += timedelta(days=1)
    return fire if day == local.date() else at_local_time(zone, datetime.combine(day, local.time()))


def expected_fires(calendar: Calendar, zone: str, raw: Occurrences, low: datetime, high: datetime) -> list[datetime]:
    every_raw = raw.between(low - LONGEST_RUN, high, 10_000)
    if calendar.on_excluded == "next_allowed_day":
        kept = {landed(calendar, zone, fire) for fire in every_raw}
    else:
        kept = {fire for fire in every_raw if is_allowed(calendar, fire.astimezone(wall_clock(zone)).date())}
    return sorted(fire for fire in kept if low < fire <= high)


@st.composite
def calendars(draw: st.DrawFn, first: date, zone: str | None, on_excluded: OnExcluded) -> Calendar:
    days = st.integers(-5, 25).map(lambda number: first + timedelta(days=number))
    return Calendar(
        exclude_dates=tuple(draw(st.lists(days, max_size=12))),
        exclude_annual=tuple(draw(st.lists(days.map(lambda day: f"{day.month:02}-{day.day:02}"), max_size=3))),
        weekdays=tuple(draw(st.sampled_from([(), WEEKDAYS[:5], ("mon", "thu"), ("sun",)]))),
        include_dates=tuple(draw(st.lists(days, max_size=2))),
        timezone=zone,
        on_excluded=on_excluded,
    )


def triggers(zone: str, calendar: Calendar | None) -> Iterator[Trigger]:
    for expression in EXPRESSIONS:
        yield CronTrigger(expression, timezone=zone, calendar=calendar)
    yield IntervalTrigger(5 * 3600.0, calendar=calendar)


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    st.sampled_from(ZONES),
    st.sampled_from([None, *ZONES]),
    st.sampled_from([date(2026, 3, 20), date(2026, 10, 20), date(2026, 4, 1), date(2011, 12, 22), date(2026, 9, 28)]),
    st.sampled_from(["skip", "next_allowed_day"]),
    st.integers(0, len(EXPRESSIONS)),
)
def test_fires_on_a_calendar_are_those_of_the_oracle(
    data: st.DataObject,
    zone: str,
    calendar_zone: str | None,
    first: date,
    on_excluded: OnExcluded,
    which: int,
) -> None:
    calendar = data.draw(calendars(first, calendar_zone, on_excluded))
    low = datetime(first.year, first.month, first.day, tzinfo=UTC)
    high = low + timedelta(days=20)
    trigger, without = list(triggers(zone, calendar))[which], list(triggers(zone, None))[which]
    dates_zone = calendar_zone or (zone if isinstance(trigger, CronTrigger) else "UTC")
    anchor = low - timedelta(days=60)
    raw = compile_trigger(without, hash_key="", anchor=anchor)

    found = compile_trigger(trigger, hash_key="", anchor=anchor).between(low, high, 10_000)

    assert found == expected_fires(calendar, dates_zone, raw, low, high)
