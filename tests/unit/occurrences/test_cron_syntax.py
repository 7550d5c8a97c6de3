import pytest

from rota.core.occurrences.fields import CronSyntaxError
from rota.core.occurrences.syntax import CronSpec, DaysOfMonth, DaysOfWeek, parse_cron


def values(bits: int) -> list[int]:
    return [value for value in range(64) if bits >> value & 1]


@pytest.mark.parametrize(
    ("hour", "expected"),
    [
        ("*", list(range(24))),
        ("*/6", [0, 6, 12, 18]),
        ("9-17/4", [9, 13, 17]),
        ("20/2", [20, 22]),
        ("22-2", [0, 1, 2, 22, 23]),
        ("22-4/3", [1, 4, 22]),
        ("1,3,5-6", [1, 3, 5, 6]),
        ("*/24", [0]),
    ],
)
def test_hours_are_read(hour: str, expected: list[int]) -> None:
    assert values(parse_cron(f"0 {hour} * * *").hours) == expected


@pytest.mark.parametrize(
    ("weekday", "expected"),
    [
        ("7", [0]),
        ("0-7", list(range(7))),
        ("5-7", [0, 5, 6]),
        ("7-2", [0, 1, 2]),
        ("fri-mon", [0, 1, 5, 6]),
        ("MON-FRI", [1, 2, 3, 4, 5]),
        ("*/2", [0, 2, 4, 6]),
        ("6-0", [0, 6]),
    ],
)
def test_weekdays_are_read_with_sunday_as_0_and_7(weekday: str, expected: list[int]) -> None:
    assert values(parse_cron(f"0 0 * * {weekday}").days_of_week.bits) == expected


def test_days_are_read_in_every_form() -> None:
    spec = parse_cron("0 0 1,L,L-3,LW,15W * 2,5L,friL,1#3,SUN#1")

    assert spec.days_of_month == DaysOfMonth(1 << 1, from_end=(0, 3), nearest_weekday=(15,), last_weekday=True)
    assert spec.days_of_week == DaysOfWeek(1 << 2, last=(5, 5), nth=((1, 3), (0, 1)))


def test_six_fields_begin_with_seconds() -> None:
    spec = parse_cron("*/20 30 2 * * *")

    assert (values(spec.seconds), values(spec.minutes), values(spec.hours)) == ([0, 20, 40], [30], [2])
    assert values(parse_cron("30 2 * * *").seconds) == [0]


@pytest.mark.parametrize(
    ("macro", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@MIDNIGHT", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_macros_stand_for_their_fields(macro: str, fields: str) -> None:
    assert parse_cron(macro) == parse_cron(fields)


@pytest.mark.parametrize(
    ("expression", "wildcard"),
    [
        ("*/5 2 * * *", True),
        ("0 * * * *", True),
        ("0 */2 * * *", True),
        ("H/15 2 * * *", True),
        ("@hourly", True),
        ("0-59 0-23 * * *", False),
        ("H H * * *", False),
        ("H(0-29) 2 * * *", False),
        ("* 30 2 * * *", False),
        ("@daily", False),
    ],
)
def test_a_job_is_wildcard_when_hour_or_minute_begins_with_a_star(expression: str, wildcard: bool) -> None:  # noqa: FBT001  a parameter of the table
    assert parse_cron(expression, "key").wildcard is wildcard


@pytest.mark.parametrize(
    ("days", "either"),
    [
        ("13 * 5", True),
        ("1-31 * 5", True),
        ("LW * 1#1", True),
        ("H * 5", True),
        ("* * 5", False),
        ("13 * *", False),
        ("*/2 * 5", False),
        ("13 * */2", False),
        ("? * 5", False),
        ("H/2 * 5", False),
    ],
)
def test_either_day_field_suffices_when_both_are_restricted(days: str, either: bool) -> None:  # noqa: FBT001  a parameter of the table
    assert parse_cron(f"0 0 {days}", "key").days_either is either


@pytest.mark.parametrize(
    ("expression", "field", "problem", "remedy"),
    [
        ("61 * * * *", "minute", "61 is outside 0-59", "0-59"),
        ("60 0 0 * * *", "second", "60 is outside", "0-59"),
        ("* 24 * * *", "hour", "24 is outside", "0-23"),
        ("0 0 0 * *", "day_of_month", "0 is outside", "1-31"),
        ("0 0 * 13 *", "month", "13 is outside", "1-12"),
        ("0 0 * * 8", "day_of_week", "8 is outside", "0-7"),
        ("0 0 * * MONDAY", "day_of_week", "not a known name", "MON"),
        ("0 0 * Sept *", "month", "not a known name", "SEP"),
        ("1,,2 * * * *", "minute", "empty", "comma"),
        ("5- * * * *", "minute", "empty", "dash"),
        ("*/0 * * * *", "minute", "not a step", "1 to 60"),
        ("*/90 * * * *", "minute", "longer than the field", "interval"),
        ("*/x * * * *", "minute", "not a step", "whole number"),
        ("? * * * *", "minute", "'?' may only stand alone", "*"),
        ("0 0 28-3 * *", "day_of_month", "backwards", "28-31,1-3"),
        ("0 0 L-31 * *", "day_of_month", "before the first day", "L-30"),
        ("0 0 32W * *", "day_of_month", "32 is outside", "1-31"),
        ("0 0 * * L", "day_of_week", "which weekday", "5L"),
        ("0 0 * * 5#6", "day_of_week", "not one of 1 to 5", "5#3"),
        ("0 0 * * L5", "day_of_week", "not a value", "SUN"),
        ("H(9-3) * * * *", "minute", "backwards", "H(3-9)"),
        ("² * * * *", "minute", "not a value", "0-59"),
        ("", "expression", "empty", "0 2 * * *"),
        ("* * *", "expression", "3 fields", "minute, hour"),
        ("0 0 0 1 1 * 2026", "expression", "7 fields", "start_at"),
        ("@reboot", "expression", "no time", "workload"),
        ("@every 5m", "expression", "not cron", "interval"),
        ("@fortnightly", "expression", "not a known macro", "@daily"),
        ("* " * 600, "expression", "characters", "several triggers"),
    ],
)
def test_wrong_text_names_field_problem_and_remedy(expression: str, field: str, problem: str, remedy: str) -> None:
    with pytest.raises(CronSyntaxError) as caught:
        parse_cron(expression)

    assert caught.value.field == field
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    assert caught.value.code == "INVALID_INPUT"
    assert caught.value.problems[0].remedy == caught.value.remedy


def hashed(expression: str, key: str) -> CronSpec:
    return parse_cron(expression, key)


def test_h_is_stable_for_a_key_and_differs_between_fields() -> None:
    specs = [hashed("H H H H H H", f"schedule-{number}") for number in range(50)]

    assert specs == [hashed("h h h h h h", f"schedule-{number}") for number in range(50)]
    assert parse_cron("H H * * *", "nightly-report") == parse_cron("40 14 * * *")
    assert sum(spec.seconds == spec.minutes for spec in specs) < 5
    assert max(max(values(spec.days_of_month.bits)) for spec in specs) <= 28


def test_h_is_spread_evenly() -> None:
    counts = [0] * 60
    for number in range(6_000):
        (minute,) = values(hashed("H * * * *", f"schedule-{number}").minutes)
        counts[minute] += 1

    assert min(counts) >= 60
    assert max(counts) <= 145


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_h_keeps_to_its_range_and_step(key: str) -> None:
    every_quarter = values(hashed("H/15 * * * *", key).minutes)
    in_range = values(hashed("H(10-19) * * * *", key).minutes)
    stepped = values(hashed("H(0-29)/10 * * * *", key).minutes)

    assert [minute - every_quarter[0] for minute in every_quarter] == [0, 15, 30, 45]
    assert len(in_range) == 1
    assert 10 <= in_range[0] <= 19
    assert [minute - stepped[0] for minute in stepped] == [0, 10, 20]
    assert stepped[0] < 10


def test_h_is_not_mistaken_in_a_name() -> None:
    assert parse_cron("0 0 * MAR THU", "one") is parse_cron("0 0 * mar thu", "another")
