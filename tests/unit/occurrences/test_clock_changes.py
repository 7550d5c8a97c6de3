"""Daylight saving by example. The calendar of each case was looked up, not computed."""

from datetime import UTC, datetime

import pytest

from rota.core.occurrences import compile_trigger
from rota.domain.triggers import CronTrigger, Gap, OverlapHour

ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def fires(trigger: CronTrigger, after: str, until: str) -> list[str]:
    occurrences = compile_trigger(trigger, hash_key="", anchor=ANCHOR)
    return [f"{fire:%m-%d %H:%M}" for fire in occurrences.between(utc(after), utc(until), 100)]


@pytest.mark.parametrize(
    ("gap", "expected"), [("next_valid", ["03-29 01:00"]), ("skip", []), ("shift", ["03-29 01:30"])]
)
def test_a_fixed_time_in_the_skipped_hour_follows_its_policy(gap: Gap, expected: list[str]) -> None:
    trigger = CronTrigger("30 2 * * *", timezone="Europe/Paris", gap=gap)

    assert fires(trigger, "2026-03-28T12:00", "2026-03-29T12:00") == expected


@pytest.mark.parametrize(
    ("overlap_hour", "expected"),
    [("first", ["11-01 05:30"]), ("second", ["11-01 06:30"]), ("both", ["11-01 05:30", "11-01 06:30"])],
)
def test_a_fixed_time_in_the_repeated_hour_follows_its_policy(overlap_hour: OverlapHour, expected: list[str]) -> None:
    trigger = CronTrigger("30 1 * * *", timezone="America/New_York", overlap_hour=overlap_hour)

    assert fires(trigger, "2026-10-31T12:00", "2026-11-01T12:00") == expected


def test_a_wildcard_job_follows_real_time() -> None:
    trigger = CronTrigger("*/30 * * * *", timezone="America/New_York", gap="shift", overlap_hour="second")

    assert fires(trigger, "2026-03-08T06:29", "2026-03-08T08:00") == [
        "03-08 06:30", "03-08 07:00", "03-08 07:30", "03-08 08:00",
    ]  # fmt: skip
    assert fires(trigger, "2026-11-01T04:59", "2026-11-01T06:30") == [
        "11-01 05:00", "11-01 05:30", "11-01 06:00", "11-01 06:30",
    ]  # fmt: skip


def test_several_times_of_one_gap_fire_once() -> None:
    trigger = CronTrigger("0,15,30 2,3 * * *", timezone="Europe/Paris")

    assert fires(trigger, "2026-03-29T00:00", "2026-03-29T06:00") == ["03-29 01:00", "03-29 01:15", "03-29 01:30"]


def test_half_an_hour_is_skipped_and_repeated_in_lord_howe() -> None:
    daily = CronTrigger("15 2 * * *", timezone="Australia/Lord_Howe")
    nightly = CronTrigger("45 1 * * *", timezone="Australia/Lord_Howe")

    assert fires(daily, "2026-10-03T00:00", "2026-10-04T00:00") == ["10-03 15:30"]
    assert fires(nightly, "2026-04-04T00:00", "2026-04-05T00:00") == ["04-04 14:45"]


def test_midnight_that_does_not_exist_is_one_o_clock() -> None:
    for zone, after, until, expected in (
        ("Asia/Beirut", "2026-03-28T12:00", "2026-03-29T12:00", ["03-28 22:00"]),
        ("America/Sao_Paulo", "2017-10-14T12:00", "2017-10-15T12:00", ["10-15 03:00"]),
    ):
        assert fires(CronTrigger("0 0 * * *", timezone=zone), after, until) == expected


def test_a_day_that_did_not_happen_is_not_made_up() -> None:
    apia = CronTrigger("0 9 * * *", timezone="Pacific/Apia")
    kwajalein = CronTrigger("0 9 * * *", timezone="Pacific/Kwajalein")

    assert fires(apia, "2011-12-29T00:00", "2012-01-01T00:00") == ["12-29 19:00", "12-30 19:00", "12-31 19:00"]
    assert fires(kwajalein, "1993-08-20T00:00", "1993-08-23T00:00") == ["08-20 21:00", "08-21 21:00", "08-22 21:00"]


def test_dublin_with_its_negative_winter_time_is_as_london() -> None:
    for after, until in (("2026-03-28T12:00", "2026-03-30T12:00"), ("2026-10-24T12:00", "2026-10-26T12:00")):
        dublin = fires(CronTrigger("30 1 * * *", timezone="Europe/Dublin"), after, until)
        london = fires(CronTrigger("30 1 * * *", timezone="Europe/London"), after, until)

        assert dublin == london
        assert len(dublin) == 2


def test_ramadan_in_morocco_repeats_and_skips_an_hour() -> None:
    nightly = CronTrigger("30 2 * * *", timezone="Africa/Casablanca")

    assert fires(nightly, "2023-03-18T12:00", "2023-03-20T12:00") == ["03-19 01:30", "03-20 02:30"]
    assert fires(nightly, "2023-04-22T12:00", "2023-04-24T12:00") == ["04-23 02:00", "04-24 01:30"]


def test_a_rule_for_later_years_holds_for_ever() -> None:
    trigger = CronTrigger("30 2 * * *", timezone="Europe/Paris")

    assert fires(trigger, "2150-03-28T12:00", "2150-03-29T12:00") == ["03-29 01:00"]


def test_an_answer_is_strictly_later_and_in_utc() -> None:
    occurrences = compile_trigger(CronTrigger("0 12 * * *", timezone="Asia/Tokyo"), hash_key="", anchor=ANCHOR)
    noon = datetime.fromisoformat("2026-05-01T12:00:00+09:00")

    fire = occurrences.next_after(noon)

    assert fire == utc("2026-05-02T03:00")
    assert fire is not None
    assert fire.tzinfo is UTC
    assert occurrences.next_after(noon.replace(hour=11, minute=59, second=59, microsecond=999_999)) == noon


def test_the_rarest_days_are_found() -> None:
    leap_day = compile_trigger(CronTrigger("0 0 29 2 *"), hash_key="", anchor=ANCHOR)
    fifth_monday = compile_trigger(CronTrigger("0 0 * 2 1#5"), hash_key="", anchor=ANCHOR)

    assert leap_day.next_after(utc("2096-03-01T00:00")) == utc("2104-02-29T00:00")
    assert fifth_monday.next_after(utc("2072-03-01T00:00")) == utc("2112-02-29T00:00")
