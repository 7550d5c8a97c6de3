from datetime import UTC, date, datetime

import pytest

from rota.core.occurrences import compile_trigger, preview
from rota.domain.triggers import AtTrigger, Calendar, CronTrigger, Gap, IntervalTrigger, OverlapHour, Trigger

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE_GAP = datetime(2026, 3, 28, 12, tzinfo=UTC)
BEFORE_REPEAT = datetime(2026, 10, 24, 12, tzinfo=UTC)
CLOSED = Calendar(exclude_annual=("12-25",), exclude_dates=(date(2026, 12, 28),), weekdays=("mon", "tue", "wed", "fri"))


def lines(trigger: Trigger, after: datetime, limit: int, *, fires_done: int = 0) -> list[tuple[str, bool, str | None]]:
    occurrences = compile_trigger(trigger, hash_key="", anchor=ANCHOR)
    items = preview(occurrences, after, limit, fires_done=fires_done)
    return [(f"{item.fire_at:%m-%d %H:%M}", item.fires, item.note) for item in items]


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        ("next_valid", ("03-29 01:00", True, "02:30 does not exist on 2026-03-29 in Europe/Paris; fires at 03:00")),
        ("skip", ("03-29 01:00", False, "02:30 does not exist on 2026-03-29 in Europe/Paris; not fired")),
        ("shift", ("03-29 01:30", True, "02:30 does not exist on 2026-03-29 in Europe/Paris; fires at 03:30")),
    ],
)
def test_a_skipped_time_is_explained(gap: Gap, expected: tuple[str, bool, str]) -> None:
    shown = lines(CronTrigger("30 2 * * *", timezone="Europe/Paris", gap=gap), BEFORE_GAP, 2)

    assert shown[0] == expected
    assert shown[-1][1:] == (True, None)


@pytest.mark.parametrize(
    ("overlap_hour", "expected"),
    [
        (
            "first",
            [
                ("10-25 00:30", True, None),
                ("10-25 01:30", False, "second 02:30 on 2026-10-25 in Europe/Paris not fired; the first was"),
            ],
        ),
        (
            "second",
            [
                ("10-25 00:30", False, "first 02:30 on 2026-10-25 in Europe/Paris not fired; the second will be"),
                ("10-25 01:30", True, None),
            ],
        ),
        (
            "both",
            [
                ("10-25 00:30", True, "first of two 02:30 on 2026-10-25 in Europe/Paris"),
                ("10-25 01:30", True, "second of two 02:30 on 2026-10-25 in Europe/Paris"),
            ],
        ),
    ],
)
def test_a_repeated_time_is_explained(overlap_hour: OverlapHour, expected: list[tuple[str, bool, str | None]]) -> None:
    trigger = CronTrigger("30 2 * * *", timezone="Europe/Paris", overlap_hour=overlap_hour)

    assert lines(trigger, BEFORE_REPEAT, 3)[:2] == expected


def test_many_skipped_times_are_one_item() -> None:
    trigger = CronTrigger("0-59/5 2 * * *", timezone="Europe/Paris", gap="skip")

    assert lines(trigger, BEFORE_GAP, 1)[0] == (
        "03-29 01:00", False, "02:00, 02:05, 02:10 and more do not exist on 2026-03-29 in Europe/Paris; not fired",
    )  # fmt: skip


def test_a_date_that_did_not_happen_is_explained() -> None:
    trigger = CronTrigger("0 9 * * *", timezone="Pacific/Apia")

    assert lines(trigger, datetime(2011, 12, 29, 20, tzinfo=UTC), 1) == [
        (
            "12-30 10:00",
            False,
            "09:00 does not exist on 2011-12-30 in Pacific/Apia (set forward by 24 hours); not fired",
        ),
        ("12-30 19:00", True, None),
    ]


def test_a_wildcard_job_of_some_hours_is_told_which_it_misses() -> None:
    trigger = CronTrigger("*/30 2 * * *", timezone="Europe/Paris")

    assert lines(trigger, BEFORE_GAP, 1) == [
        ("03-29 01:00", False, "02:00 and 02:30 do not exist on 2026-03-29 in Europe/Paris; not fired"),
        ("03-30 00:00", True, None),
    ]


def test_a_wildcard_job_of_every_hour_needs_no_explanation() -> None:
    assert lines(CronTrigger("0 * * * *", timezone="Europe/Paris"), datetime(2026, 3, 29, tzinfo=UTC), 2) == [
        ("03-29 01:00", True, None),
        ("03-29 02:00", True, None),
    ]


def test_each_excluded_day_is_one_item_with_its_reason() -> None:
    trigger = CronTrigger("0 */6 * * *", calendar=CLOSED)

    assert lines(trigger, datetime(2026, 12, 23, 18, tzinfo=UTC), 1) == [
        ("12-24 00:00", False, "2026-12-24: the calendar does not allow Thursdays; not fired"),
        ("12-25 00:00", False, "2026-12-25: the calendar excludes 12-25 of every year; not fired"),
        ("12-26 00:00", False, "2026-12-26: the calendar does not allow Saturdays; not fired"),
        ("12-27 00:00", False, "2026-12-27: the calendar does not allow Sundays; not fired"),
        ("12-28 00:00", False, "2026-12-28: the calendar excludes this date; not fired"),
        ("12-29 00:00", True, None),
    ]


def test_a_moved_fire_says_where_it_came_from() -> None:
    calendar = Calendar(exclude_annual=("12-25",), on_excluded="next_business_day")
    trigger = AtTrigger(datetime(2026, 12, 25, 9, tzinfo=UTC), calendar=calendar)

    assert lines(trigger, ANCHOR, 5) == [
        ("12-25 09:00", False, "2026-12-25: the calendar excludes 12-25 of every year; fires on 2026-12-26 instead"),
        ("12-26 09:00", True, "moved from 2026-12-25: the calendar excludes 12-25 of every year"),
    ]


def test_what_never_fires_says_why() -> None:
    trigger = AtTrigger(datetime(2026, 12, 25, 9, tzinfo=UTC), calendar=Calendar(exclude_annual=("12-25",)))

    assert lines(trigger, ANCHOR, 5) == [
        ("12-25 09:00", False, "2026-12-25: the calendar excludes 12-25 of every year; not fired"),
    ]
    assert lines(CronTrigger("0 0 30 2 *"), ANCHOR, 5) == []


def test_the_number_of_fires_is_bounded_by_what_remains() -> None:
    trigger = IntervalTrigger(60, fires_max=5)

    assert len(lines(trigger, ANCHOR, 10)) == 5
    assert len(lines(trigger, ANCHOR, 10, fires_done=3)) == 2
    assert lines(trigger, ANCHOR, 10, fires_done=7) == []
    assert len(lines(trigger, ANCHOR, 2)) == 2
    assert lines(trigger, ANCHOR, 0) == []


def test_skips_outside_the_bounds_are_not_shown() -> None:
    trigger = CronTrigger("0 9 * * *", calendar=CLOSED, end_at=datetime(2026, 12, 24, 12, tzinfo=UTC))

    assert lines(trigger, datetime(2026, 12, 23, 18, tzinfo=UTC), 5) == [
        ("12-24 09:00", False, "2026-12-24: the calendar does not allow Thursdays; not fired"),
    ]


def test_the_second_pass_of_a_wildcard_job_is_no_skip() -> None:
    trigger = CronTrigger("*/30 2 * * *", timezone="Europe/Paris")

    assert [fires for _, fires, _ in lines(trigger, BEFORE_REPEAT, 4)] == [True] * 4
