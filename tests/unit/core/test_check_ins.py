from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.check_ins import check_in_problems, on_deadline, on_ping, opened
from rota.domain.check_in import CHECK_IN_LIFECYCLE, CheckIn, CheckInDraft, PingSignal
from rota.domain.ids import CheckInId, TenantId

BORN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def made(cron: str | None = None, every: float | None = None, grace: float = 300.0) -> CheckIn:
    name = CheckInId("01990000-0000-7000-8000-000000000001")
    return opened(CheckIn(name, TenantId("acme"), "dump", cron, "UTC", every, grace, "waiting", BORN, "ada"))


def at(minutes: float) -> datetime:
    return BORN + timedelta(minutes=minutes)


def test_the_first_end_is_expected_from_the_creation_on() -> None:
    assert (made(every=600).expected_at, made(every=600).deadline_at) == (at(10), at(15))
    assert (made("0 13 * * *").expected_at, made("0 13 * * *").deadline_at) == (at(60), at(65))


def test_the_next_end_is_expected_after_the_last_that_was_told() -> None:
    told = on_ping(made(every=600), "success", at(3)).check_in
    assert (told.state, told.succeeded_at, told.expected_at) == ("on_time", at(3), at(13))
    assert on_ping(made("0 13 * * *"), "success", at(61)).check_in.expected_at == at(60 + 24 * 60)


@pytest.mark.parametrize(("minutes", "expected_minutes"), [(59.1, 25 * 60), (58.9, 60), (60, 25 * 60)])
def test_an_end_that_is_told_a_little_early_counts_for_its_time(minutes: float, expected_minutes: float) -> None:
    assert on_ping(made("0 13 * * *"), "success", at(minutes)).check_in.expected_at == at(expected_minutes)


def test_a_start_moves_no_deadline() -> None:
    started = on_ping(made(every=600), "start", at(3))
    assert (started.check_in.started_at, started.check_in.deadline_at, started.events) == (at(3), at(15), ())


def test_silence_is_one_miss_and_the_next_success_its_recovery() -> None:
    waiting = made(every=600)
    assert on_deadline(waiting, at(14.99)) is None
    missed = on_deadline(waiting, at(15))
    assert missed is not None
    assert (missed.check_in.state, missed.check_in.missed_at, missed.check_in.deadline_at) == ("missing", at(15), None)
    (told,) = missed.events
    assert (told.type, told.data["expected_at"]) == ("CheckInMissed", at(10).isoformat())
    assert on_deadline(missed.check_in, at(10_000)) is None
    back = on_ping(missed.check_in, "success", at(90))
    assert (back.check_in.state, back.check_in.missed_at, back.check_in.deadline_at) == ("on_time", None, at(105))
    assert [(one.type, one.data["was"], one.data["since"]) for one in back.events] == [
        ("CheckInRecovered", "missing", at(15).isoformat())
    ]


def test_a_failure_is_told_each_time_and_a_success_after_it_is_a_recovery() -> None:
    first = on_ping(made(every=600), "fail", at(1))
    second = on_ping(first.check_in, "fail", at(2))
    assert [one.type for one in (*first.events, *second.events)] == ["CheckInFailed"] * 2
    assert second.check_in.deadline_at == at(17)
    assert [one.type for one in on_ping(second.check_in, "success", at(3)).events] == ["CheckInRecovered"]


Steps = st.lists(st.tuples(st.sampled_from(["start", "success", "fail", "look"]), st.floats(0.01, 4_000)), max_size=40)


@given(Steps)
def test_whatever_is_told_when_there_are_as_many_recoveries_as_bad_stretches_that_ended(
    steps: list[tuple[str, float]],
) -> None:
    """One miss per silence, one recovery per bad stretch, and never a good record without a deadline."""
    record, now, events = made(every=600), BORN, list[str]()
    bad_before, ended = False, 0
    for step, seconds in steps:
        now += timedelta(seconds=seconds)
        signals: dict[str, PingSignal] = {"start": "start", "success": "success", "fail": "fail"}
        change = on_deadline(record, now) if step == "look" else on_ping(record, signals[step], now)
        if change is None:
            continue
        assert record.state == change.check_in.state or any(
            (move.source, move.target) == (record.state, change.check_in.state)
            for move in CHECK_IN_LIFECYCLE.transitions
        )
        record = change.check_in
        events += [one.type for one in change.events]
        bad = record.state in {"missing", "failing"}
        ended += bad_before and not bad
        bad_before = bad
        assert (record.deadline_at is None) == (record.state == "missing")
    assert events.count("CheckInRecovered") == ended


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (CheckInDraft(""), "name"),
        (CheckInDraft("a"), "cron"),
        (CheckInDraft("a", cron="@daily", every_seconds=60), "cron"),
        (CheckInDraft("a", cron="61 * * * *"), "cron"),
        (CheckInDraft("a", cron="@daily", timezone="Mars/Base"), "timezone"),
        (CheckInDraft("a", every_seconds=1), "every_seconds"),
        (CheckInDraft("a", every_seconds=float("nan")), "every_seconds"),
        (CheckInDraft("a", every_seconds=60, grace_seconds=0), "grace_seconds"),
    ],
)
def test_a_wrong_field_is_named(draft: CheckInDraft, field: str) -> None:
    assert field in {one.field for one in check_in_problems(draft)}


def test_a_right_one_has_no_problems() -> None:
    assert list(check_in_problems(CheckInDraft("a", cron="0 2 * * *", timezone="Europe/Paris"))) == []
