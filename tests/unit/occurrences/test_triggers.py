from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from rota.core.occurrences import CronSyntaxError, compile_trigger, jitter_offset, validate_trigger
from rota.domain.errors import DomainError
from rota.domain.triggers import AtTrigger, Calendar, CronTrigger, IntervalTrigger, Trigger

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  what is refused here
SECOND = timedelta(seconds=1)
UNKNOWN_CHOICES: dict[str, Any] = {"gap": "jump", "overlap_hour": "third"}


def next_after(trigger: Trigger, instant: datetime) -> datetime | None:
    return compile_trigger(trigger, hash_key="", anchor=ANCHOR).next_after(instant)


def test_an_interval_counts_from_the_anchor_and_first_fires_one_interval_later() -> None:
    trigger = IntervalTrigger(90.0)

    assert next_after(trigger, ANCHOR - 500 * SECOND) == ANCHOR + 90 * SECOND
    assert next_after(trigger, ANCHOR) == ANCHOR + 90 * SECOND
    assert next_after(trigger, ANCHOR + 100 * SECOND) == ANCHOR + 180 * SECOND


def test_an_interval_with_a_start_fires_at_its_start() -> None:
    start = ANCHOR + 7 * SECOND
    trigger = IntervalTrigger(0.25, start_at=start)

    assert next_after(trigger, ANCHOR) == start
    assert next_after(trigger, start) == start + SECOND / 4


def test_at_fires_once_at_its_instant_whatever_its_offset() -> None:
    at = datetime(2026, 5, 1, 9, tzinfo=timezone(timedelta(hours=2)))

    assert next_after(AtTrigger(at), ANCHOR) == datetime(2026, 5, 1, 7, tzinfo=UTC)
    assert next_after(AtTrigger(at), at) is None


def test_bounds_are_inclusive() -> None:
    bounded = CronTrigger("0 9 * * *", start_at=ANCHOR.replace(hour=9), end_at=ANCHOR.replace(day=3, hour=9))
    occurrences = compile_trigger(bounded, hash_key="", anchor=ANCHOR)

    assert [fire.day for fire in occurrences.between(ANCHOR - timedelta(days=9), ANCHOR + timedelta(days=9), 99)] == [
        1, 2, 3,
    ]  # fmt: skip
    assert occurrences.next_after(ANCHOR.replace(day=3, hour=9)) is None


def test_between_leaves_out_its_start_keeps_its_end_and_its_limit() -> None:
    occurrences = compile_trigger(CronTrigger("0 * * * *"), hash_key="", anchor=ANCHOR)
    hours = [ANCHOR + timedelta(hours=number) for number in range(1, 5)]

    assert occurrences.between(ANCHOR, ANCHOR + timedelta(hours=4), 99) == hours
    assert occurrences.between(ANCHOR, ANCHOR + timedelta(hours=4), 2) == hours[:2]
    assert occurrences.between(ANCHOR, ANCHOR, 99) == []


def test_a_calendar_that_allows_nothing_ends_the_search() -> None:
    weekdays_only = Calendar(weekdays=("mon", "tue"))
    for on_excluded in ("skip", "next_business_day"):
        calendar = msgspec.structs.replace(weekdays_only, on_excluded=on_excluded)
        sundays = CronTrigger("0 9 * * SUN", calendar=calendar)
        fire = next_after(sundays, ANCHOR)

        assert fire == (None if on_excluded == "skip" else datetime(2026, 1, 5, 9, tzinfo=UTC))
    nothing = Calendar(exclude_annual=tuple(f"{date(2028, 1, 1) + timedelta(days=n):%m-%d}" for n in range(366)))
    assert next_after(CronTrigger("0 9 * * *", calendar=nothing), ANCHOR) is None
    moved = msgspec.structs.replace(nothing, on_excluded="next_business_day")
    assert next_after(CronTrigger("0 9 * * *", calendar=moved), ANCHOR) is None


def test_an_included_date_overrides_every_exclusion() -> None:
    christmas = date(2026, 12, 25)
    calendar = Calendar(
        exclude_dates=(christmas,), exclude_annual=("12-25",), weekdays=("mon",), include_dates=(christmas,)
    )

    assert next_after(CronTrigger("0 9 * * *", calendar=calendar), datetime(2026, 12, 22, tzinfo=UTC)) == datetime(
        2026, 12, 25, 9, tzinfo=UTC
    )


def test_a_fire_moved_into_a_skipped_hour_is_made_right_after_it() -> None:
    calendar = Calendar(exclude_dates=(date(2026, 3, 28),), on_excluded="next_business_day")
    trigger = CronTrigger("30 2 28 * *", timezone="Europe/Paris", calendar=calendar)

    assert next_after(trigger, datetime(2026, 3, 1, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_midnight_after_an_excluded_day_of_23_hours_is_kept() -> None:
    calendar = Calendar(exclude_dates=(date(2026, 3, 29),))
    trigger = CronTrigger("0 0 * * *", timezone="Europe/Paris", calendar=calendar)

    assert next_after(trigger, datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 22, tzinfo=UTC)


def test_a_fire_is_not_moved_farther_than_a_month() -> None:
    closed = tuple(date(2026, 3, 1) + timedelta(days=number) for number in range(40))
    calendar = Calendar(exclude_dates=closed, on_excluded="next_business_day")
    too_far = CronTrigger("0 9 9 3 *", calendar=calendar, end_at=datetime(2026, 12, 31, tzinfo=UTC))
    near_enough = CronTrigger("0 9 10 3 *", calendar=calendar, end_at=datetime(2026, 12, 31, tzinfo=UTC))

    assert next_after(too_far, ANCHOR) is None
    assert next_after(near_enough, ANCHOR) == datetime(2026, 4, 10, 9, tzinfo=UTC)


def test_jitter_is_the_same_in_every_process_and_differs_between_runs() -> None:
    offsets = [jitter_offset("trigger-1", ANCHOR + number * SECOND, 60.0) for number in range(1_000)]

    assert jitter_offset("trigger-1", ANCHOR, 60.0) == pytest.approx(46.21900990751674)
    assert len(set(offsets)) == 1_000
    assert 25 < sum(offsets) / 1_000 < 35


@pytest.mark.parametrize(
    ("trigger", "fields"),
    [
        (CronTrigger("61 * * * *"), ["expression"]),
        (CronTrigger("0 2 * * *", timezone="Europe/Pari"), ["timezone"]),
        (CronTrigger("x", timezone="y", **UNKNOWN_CHOICES), ["expression", "timezone", "gap", "overlap_hour"]),
        (IntervalTrigger(0), ["every_seconds"]),
        (IntervalTrigger(-1), ["every_seconds"]),
        (IntervalTrigger(float("nan")), ["every_seconds"]),
        (IntervalTrigger(float("inf")), ["every_seconds"]),
        (IntervalTrigger(0.0009), ["every_seconds"]),
        (IntervalTrigger(4e9), ["every_seconds"]),
        (IntervalTrigger(10, jitter_seconds=11), ["jitter_seconds"]),
        (IntervalTrigger(0.5, calendar=Calendar(on_excluded="next_business_day")), ["calendar.on_excluded"]),
        (IntervalTrigger(10, jitter_seconds=float("nan")), ["jitter_seconds"]),
        (CronTrigger("* * * * *", jitter_seconds=-1), ["jitter_seconds"]),
        (CronTrigger("* * * * *", jitter_seconds=86_401), ["jitter_seconds"]),
        (CronTrigger("* * * * *", fires_max=0), ["fires_max"]),
        (CronTrigger("* * * * *", start_at=NAIVE), ["start_at"]),
        (CronTrigger("* * * * *", start_at=ANCHOR, end_at=ANCHOR - SECOND), ["end_at"]),
        (CronTrigger("* * * * *", start_at=NAIVE, end_at=ANCHOR), ["start_at"]),
        (CronTrigger("* * * * *", end_at=datetime(1, 1, 1, tzinfo=UTC)), ["end_at"]),
        (AtTrigger(NAIVE), ["at"]),
        (AtTrigger(datetime(9999, 12, 31, tzinfo=UTC)), ["at"]),
        (AtTrigger(datetime(1969, 7, 20, tzinfo=UTC)), ["at"]),
        (AtTrigger(ANCHOR, start_at=ANCHOR + SECOND), ["at"]),
        (AtTrigger(ANCHOR, end_at=ANCHOR - SECOND), ["at"]),
        (
            CronTrigger("* * * * *", calendar=Calendar(timezone="Mars", exclude_annual=("12-25", "02-30", "1-1"))),
            ["calendar.timezone", "calendar.exclude_annual[1]", "calendar.exclude_annual[2]"],
        ),
        (
            CronTrigger("* * * * *", calendar=Calendar(exclude_dates=(date(2026, 1, 1),) * 1_001)),
            ["calendar.exclude_dates"],
        ),
    ],
)
def test_every_wrong_field_is_named_with_a_remedy(trigger: Trigger, fields: list[str]) -> None:
    problems = validate_trigger(trigger)

    assert [problem.field for problem in problems] == fields
    assert all(problem.problem and problem.remedy for problem in problems)
    with pytest.raises(DomainError) as caught:
        compile_trigger(trigger, hash_key="", anchor=ANCHOR)
    assert caught.value.code == "INVALID_INPUT"
    assert isinstance(caught.value, CronSyntaxError) is (fields[0] == "expression")


@pytest.mark.parametrize(
    "trigger",
    [
        CronTrigger("0 0 30 2 *"),
        CronTrigger("*/5 * * * *", jitter_seconds=60, fires_max=3, start_at=ANCHOR, end_at=ANCHOR),
        IntervalTrigger(0.001),
        IntervalTrigger(60, jitter_seconds=60, calendar=Calendar(exclude_annual=("02-29",), weekdays=("sun",))),
        AtTrigger(ANCHOR, start_at=ANCHOR, end_at=ANCHOR),
    ],
)
def test_what_is_right_has_no_problem(trigger: Trigger) -> None:
    assert validate_trigger(trigger) == []


@pytest.mark.parametrize(
    ("wire", "trigger"),
    [
        (
            {"kind": "cron", "expression": "0 2 * * *", "timezone": "Europe/Paris", "gap": "skip"},
            CronTrigger("0 2 * * *", timezone="Europe/Paris", gap="skip"),
        ),
        ({"kind": "interval", "every_seconds": 1}, IntervalTrigger(1.0)),
        ({"kind": "at", "at": "2026-01-01T00:00:00Z"}, AtTrigger(ANCHOR)),
        (
            {"kind": "at", "at": "2026-01-01T00:00:00Z", "calendar": {"exclude_dates": ["2026-12-25"]}},
            AtTrigger(ANCHOR, calendar=Calendar(exclude_dates=(date(2026, 12, 25),))),
        ),
    ],
)
def test_the_wire_form_is_that_of_the_api(wire: dict[str, Any], trigger: Trigger) -> None:
    assert msgspec.convert(wire, Trigger) == trigger


@pytest.mark.parametrize(
    "wire",
    [
        {"kind": "cron", "expression": "* * * * *", "tz": "UTC"},
        {"kind": "cron"},
        {"kind": "never"},
        {"kind": "cron", "expression": "* * * * *", "gap": "jump"},
        {"kind": "at", "at": "2026-01-01T00:00:00Z", "calendar": {"holidays": []}},
    ],
)
def test_unknown_and_missing_fields_are_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wire, Trigger)
