from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rota.core.interventions import decide, intervention_problems, noted, pattern_of, successes_wanted_since
from rota.core.schedule_changes import (
    Change,
    delete_schedule,
    patched_draft,
    pause_schedule,
    replace_schedule,
    resume_schedule,
    stop_schedule,
)
from rota.domain.ids import RunId, TriggerId
from rota.domain.intervention import FAILURES_KEPT_MAX, Intervention, ScheduleFailure
from rota.domain.policies import InterventionPolicy, Policies
from rota.domain.run import FailureClass
from rota.domain.schedule import Schedule
from tests.contract.records import schedule as made_schedule
from tests.contract.stores import START

HOUR = timedelta(hours=1)


def a_schedule(policy: InterventionPolicy | None = None, **fields: object) -> Schedule:
    made = made_schedule("nightly", policies=Policies(intervention=policy or InterventionPolicy()))
    return structs.replace(made, **fields)


def failure(hours: float, failure_class: FailureClass = "network", pattern: str = "refused") -> ScheduleFailure:
    at = START + hours * HOUR
    return ScheduleFailure(RunId(f"run-{hours}"), at - timedelta(minutes=1), at, failure_class, pattern)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def stopped(schedule: Schedule | None = None, hours: float = 3) -> Schedule:
    before = schedule or a_schedule()
    found = decide(before, [failure(hours - 2), failure(hours - 1), failure(hours)], None, at(hours))
    assert found is not None
    return stop_schedule(before, found, change=Change("rule", at(hours)))[0]


def test_three_in_a_row_stop_it_and_a_success_between_them_does_not() -> None:
    failures = [failure(1), failure(2), failure(3)]
    schedule = a_schedule()
    assert decide(schedule, failures[:2], None, at(2)) is None
    assert decide(schedule, failures, at(1.5), at(3)) is None
    found = decide(schedule, failures, None, at(3))
    assert found == Intervention(at(3), "streak", "network", "refused", 3, at(3) + timedelta(days=7))


def test_five_within_the_window_stop_it_whatever_succeeds_between_them() -> None:
    schedule = a_schedule()
    failures = [failure(24 * day) for day in (0, 2, 4, 6)]
    assert decide(schedule, failures, at(145), at(145)) is None
    found = decide(schedule, [*failures, failure(150)], at(149), at(150))
    assert found is not None
    assert (found.cause, found.failures_count) == ("window", 5)
    assert decide(schedule, [*failures, failure(200)], at(199), at(200)) is None


def test_the_class_is_the_most_frequent_one_with_its_newest_pattern() -> None:
    failures = [failure(1, "auth", "old"), failure(2, "auth", "new"), failure(3, "timeout", "slow")]
    found = decide(a_schedule(), failures, None, at(3))
    assert found is not None
    assert (found.failure_class, found.pattern) == ("auth", "new")


def test_one_that_is_off_deleted_or_stopped_already_is_not_stopped() -> None:
    failures = [failure(1), failure(2), failure(3)]
    for schedule in (
        a_schedule(InterventionPolicy(is_off=True)),
        a_schedule(deleted_at=START),
        a_schedule(needs_intervention=True),
    ):
        assert decide(schedule, failures, None, at(3)) is None
        assert successes_wanted_since(schedule, failures) is None


def test_a_stopped_schedule_fires_no_more_and_says_why() -> None:
    after = stopped()
    assert (after.enabled, after.needs_intervention, after.next_fire_at) == (False, True, None)
    assert after.paused_reason == "needs intervention after 3 failures (network: refused)"


def test_one_that_is_paused_by_hand_keeps_its_reason_and_does_not_resume_by_itself() -> None:
    after = stopped(a_schedule(enabled=False, paused_reason="by hand"))
    assert (after.needs_intervention, after.paused_reason) == (True, "by hand")
    assert after.intervention is not None
    assert after.intervention.cool_off_until is None
    by_ada = Change("ada", at(4))
    for change in (pause_schedule(stopped(), "mine", change=by_ada), delete_schedule(stopped(), change=by_ada)):
        assert change[0].intervention is not None
        assert change[0].intervention.cool_off_until is None


def test_after_a_resume_the_first_failure_stops_it_again_and_the_first_success_ends_that() -> None:
    schedule, _ = resume_schedule(stopped(), None, change=Change("ada", at(10)))
    old, late = failure(3), structs.replace(failure(11), created_at=at(9))
    assert (schedule.enabled, schedule.needs_intervention) == (True, False)
    assert decide(schedule, [old, late], None, at(11)) is None
    again = decide(schedule, [old, late, failure(12)], None, at(12))
    assert again is not None
    assert (again.cause, again.failures_count) == ("probation", 4)
    assert successes_wanted_since(schedule, [old, late, failure(12)]) == at(10)
    assert decide(schedule, [failure(12)], at(11), at(12)) is None
    assert decide(schedule, [failure(12), failure(13)], at(11), at(13)) is None
    streak = decide(schedule, [failure(12), failure(13), failure(14)], at(11), at(14))
    assert streak is not None
    assert streak.cause == "streak"


def test_a_resume_that_resets_the_streak_counts_anew() -> None:
    schedule, _ = resume_schedule(stopped(), None, change=Change("ada", at(10)), resets_streak=True)
    failures = [failure(1), failure(2), failure(3), failure(11), failure(12)]
    assert decide(schedule, failures, None, at(12)) is None
    assert decide(schedule, [*failures, failure(13)], None, at(13)) is not None


def test_an_edit_leaves_it_stopped_unless_it_enables_it() -> None:
    def edited(patch: dict[str, object]) -> Schedule:
        before = stopped()
        ids = [TriggerId("00000000-0000-7000-8000-00000000ffff")]
        return replace_schedule(before, patched_draft(before, patch), trigger_ids=ids, change=Change("ada", at(5)))[0]

    kept = edited({"description": "mended"})
    assert (kept.needs_intervention, kept.intervention) == (True, stopped().intervention)
    resumed = edited({"enabled": True})
    assert (resumed.needs_intervention, resumed.enabled) == (False, True)
    assert resumed.intervention is not None
    assert (resumed.intervention.resumed_at, resumed.intervention.on_probation) == (at(5), True)


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("\n  HTTP 503 from 10.0.0.7:8080\nmore", "HTTP <n> from <n>"),
        ("run 01a1fd18-03fe-70c5-9684-1249b2f57c12 at 0x7f8e", "run <id> at <hex>"),
        ("commit deadbeef01 failed", "commit <hex> failed"),
        ("", ""),
    ],
)
def test_the_same_trouble_reads_the_same(message: str, pattern: str) -> None:
    assert pattern_of(message) == pattern


@given(st.text(max_size=300))
def test_a_pattern_is_one_bounded_line_and_stays_as_it_is(message: str) -> None:
    pattern = pattern_of(message)
    assert len(pattern) <= 100
    assert len(pattern.splitlines()) <= 1


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=150), st.integers(1, 6))
def test_only_failures_in_a_row_make_a_streak(ends: list[tuple[int, bool]], streak: int) -> None:
    """Against a plain count over the ends in their order."""
    policy = InterventionPolicy(streak=streak, window_count=FAILURES_KEPT_MAX, window_seconds=60.0)
    told = sorted(dict(ends).items())[-FAILURES_KEPT_MAX:]
    in_a_row = 0
    for _, failed in told:
        in_a_row = in_a_row + 1 if failed else 0
    failures = noted((), [failure(hours) for hours, failed in told if failed])
    successes = [at(hours) for hours, failed in told if not failed]
    found = decide(a_schedule(policy), failures, max(successes, default=None), at(301))
    assert (found is not None) == (in_a_row >= streak)


@given(st.lists(st.integers(0, 400), max_size=300))
def test_what_is_remembered_is_bounded_ordered_and_each_run_once(hours: list[int]) -> None:
    kept = noted([failure(one) for one in hours[:50]], [failure(one) for one in hours[50:]])
    assert [one.failed_at for one in kept] == sorted({at(one) for one in hours})[-FAILURES_KEPT_MAX:]


def test_numbers_of_the_policy_are_bounded_by_name() -> None:
    policy = InterventionPolicy(streak=0, window_count=101, window_seconds=1, cool_off_seconds=1)
    found = [one.field for one in intervention_problems(policy)]
    assert found == ["streak", "window_count", "window_seconds", "cool_off_seconds"]
    assert list(intervention_problems(InterventionPolicy(cool_off_seconds=None))) == []
