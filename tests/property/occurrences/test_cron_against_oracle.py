from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.core.occurrences import Occurrences, compile_trigger
from rota.core.occurrences.zones import zone_names, zone_of
from rota.domain.triggers import CronTrigger, Gap, OverlapHour
from tests.property.occurrences.expressions import Expression, day_fields, expressions
from tests.property.occurrences.oracle import Job, fires, readings
from tests.property.occurrences.patience import PATIENT

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
MARGIN = timedelta(hours=3, minutes=30)
ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)

GAPS = st.sampled_from(["next_valid", "skip", "shift"])
OVERLAPS = st.sampled_from(["first", "second", "both"])
WHOLE_MINUTE_YEARS = range(1973, 2199)
"""Monrovia's clock was off by half a minute until 1972; the sweep covers that."""


def compiled(expression: Expression, zone: str, gap: Gap, overlap_hour: OverlapHour) -> Occurrences:
    trigger = CronTrigger(expression.text, timezone=zone, gap=gap, overlap_hour=overlap_hour)
    return compile_trigger(trigger, hash_key="", anchor=ANCHOR)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and an instant: mostly a clock change of the zone, sometimes any time."""
    zone = draw(st.sampled_from(sorted(zone_names())))
    low, high = (
        datetime(WHOLE_MINUTE_YEARS.start, 1, 1, tzinfo=UTC),
        datetime(WHOLE_MINUTE_YEARS.stop, 1, 1, tzinfo=UTC),
    )
    starts = [start for start in zone_of(zone).starts if low.timestamp() < start < high.timestamp()]
    if starts and draw(st.integers(0, 4)):
        return zone, datetime.fromtimestamp(draw(st.sampled_from(starts)), UTC)
    return zone, low + draw(st.integers(0, (high - low) // MINUTE)) * MINUTE


@settings(PATIENT, max_examples=120)
@given(expressions(), moments(), GAPS, OVERLAPS)
def test_fires_around_any_moment_are_those_of_the_oracle(
    expression: Expression, moment: tuple[str, datetime], gap: Gap, overlap_hour: OverlapHour
) -> None:
    zone, middle = moment
    low, high = middle - 10 * MARGIN / 3, middle + 10 * MARGIN / 3
    watched = readings(zone, low - MARGIN, high + MARGIN, MINUTE)
    expected = fires(Job(expression.names, expression.wildcard, gap, overlap_hour), watched, MINUTE)

    found = compiled(expression, zone, gap, overlap_hour).between(low, high, limit=10_000)

    assert found == sorted(fire for fire in expected if low < fire <= high)


@settings(PATIENT, max_examples=25)
@given(expressions(with_seconds=True), moments(), GAPS, OVERLAPS)
def test_fires_by_the_second_are_those_of_the_oracle(
    expression: Expression, moment: tuple[str, datetime], gap: Gap, overlap_hour: OverlapHour
) -> None:
    zone, middle = moment
    low, high = middle - timedelta(hours=1), middle + timedelta(hours=1)
    watched = readings(zone, low - MARGIN, high + MARGIN, SECOND)
    expected = fires(Job(expression.names, expression.wildcard, gap, overlap_hour), watched, SECOND)

    found = compiled(expression, zone, gap, overlap_hour).between(low, high, limit=10_000)

    assert found == sorted(fire for fire in expected if low < fire <= high)


@settings(PATIENT, max_examples=100)
@given(day_fields(), st.dates(date(1970, 1, 1), date(2190, 1, 1)))
def test_days_of_two_years_are_those_of_the_oracle(fields: tuple[str, Callable[[date], bool]], first: date) -> None:
    text, holds = fields
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    days = [start + timedelta(days=number) for number in range(2 * 365)]

    found = compile_trigger(CronTrigger(f"0 0 {text}"), hash_key="", anchor=ANCHOR).between(
        start - SECOND, days[-1], limit=1_000
    )

    assert found == [day for day in days if holds(day.date())]


@settings(PATIENT, max_examples=100)
@given(expressions(), moments(), GAPS, OVERLAPS, st.integers(0, 10**9))
def test_fires_do_not_depend_on_where_the_question_starts(
    expression: Expression, moment: tuple[str, datetime], gap: Gap, overlap_hour: OverlapHour, microseconds: int
) -> None:
    zone, middle = moment
    occurrences = compiled(expression, zone, gap, overlap_hour)
    start = middle - timedelta(days=1)
    listed = occurrences.between(start, middle + timedelta(days=1), limit=3_000)
    asked = start + timedelta(microseconds=microseconds * 100)
    later = [fire for fire in listed if fire > asked]

    fire = occurrences.next_after(asked)

    assert fire == later[0] if later else fire is None or fire > asked
    assert listed == sorted(set(listed))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Pacific/Apia", "America/New_York"])
@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30W 2 ?", "0 0 31W 2 ?"])
def test_a_date_that_never_comes_ends_the_search(zone: str, expression: str) -> None:
    occurrences = compile_trigger(CronTrigger(expression, timezone=zone), hash_key="", anchor=ANCHOR)

    assert occurrences.next_after(ANCHOR) is None


def test_a_job_that_each_year_falls_into_the_gap_is_searched_for_to_the_end() -> None:
    trigger = CronTrigger("30 2 * 3 7L", timezone="Europe/Paris", gap="skip")
    occurrences = compile_trigger(trigger, hash_key="", anchor=ANCHOR)

    assert occurrences.next_after(datetime(1996, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Pacific/Apia", "America/New_York"])
def test_the_ends_of_time_are_answered(zone: str) -> None:
    occurrences = compile_trigger(CronTrigger("30 2 * * *", timezone=zone), hash_key="", anchor=ANCHOR)
    last = occurrences.next_after(datetime(2199, 12, 30, 12, tzinfo=UTC))

    assert last is not None
    assert occurrences.next_after(last) is None or last.day == 30
    assert occurrences.next_after(datetime.max.replace(tzinfo=UTC)) is None
    assert occurrences.next_after(datetime.min.replace(tzinfo=UTC)) == occurrences.next_after(
        datetime(1899, 1, 1, tzinfo=UTC)
    )
