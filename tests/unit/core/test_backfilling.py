"""The laws of a backfill: every time once, in order, at its rate, and never more live runs than it may have."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from rota.core.backfilling import (
    BURST_SECONDS,
    LIVE_MAX,
    STEP_TIMES_MAX,
    backfill_problems,
    next_times,
    plan_step,
    times_of,
)
from rota.core.run_identity import backfill_key, fire_key
from rota.domain.backfill import Backfill, BackfillRequest, BackfillStep, DueBackfill
from rota.domain.ids import BackfillId, ScheduleId, TenantId, TriggerId
from rota.domain.policies import Policies
from rota.domain.schedule import TriggerState
from rota.domain.triggers import CronTrigger, IntervalTrigger

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)
SCHEDULE = ScheduleId("s")


def state(name: str, every: float) -> TriggerState:
    return TriggerState(TriggerId(name), IntervalTrigger(every_seconds=every, start_at=SINCE), SINCE)


def backfill(*triggers: TriggerState, rate: float = 60.0, to: datetime = NOW) -> Backfill:
    return Backfill(
        BackfillId("b"),
        TenantId("acme"),
        SCHEDULE,
        "running",
        SINCE,
        to,
        "queue_all",
        None,
        rate,
        triggers,
        0,
        NOW,
        "ada",
        NOW - timedelta(seconds=60 / rate),
        NOW,
    )


def step_of(one: Backfill, now: datetime, known: dict[str, bool] | None = None, live: int = 0) -> BackfillStep:
    return plan_step(DueBackfill(one, 1, Policies(priority=4), live, now), next_times(one), known or {})


def run_whole(one: Backfill, known: dict[str, bool]) -> list[tuple[datetime, BackfillStep]]:
    """Every step until it has ended, each at the time that the one before it says."""
    steps: list[tuple[datetime, BackfillStep]] = []
    now = NOW
    while one.state == "running":
        step = step_of(one, now, known)
        steps.append((now, step))
        one = step.after
        now = one.resume_at or now
        assert len(steps) < 3_000
    return steps


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from((60.0, 90.0, 150.0, 400.0, 3_600.0)), min_size=1, max_size=3),
    st.sampled_from((30.0, 60.0, 600.0, 60_000.0)),
    st.lists(st.booleans() | st.none(), min_size=1, max_size=7),
)
def test_every_time_is_run_or_skipped_once_in_order_and_no_faster_than_its_rate(
    everies: list[float], rate: float, pattern: list[bool | None]
) -> None:
    triggers = [state(f"t{place}", every) for place, every in enumerate(everies)]
    times = list(times_of(SCHEDULE, triggers, (SINCE, NOW)))
    assert times == sorted(times)
    assert len(times) == sum(int(3_600 / every) + 1 for every in everies)
    known: dict[str, bool] = {}
    for number, time in enumerate(times):
        taken = pattern[number % len(pattern)]
        if taken is not None:
            known[fire_key(triggers[time.place].id, time.at)] = taken
    steps = run_whole(backfill(*triggers, rate=rate), known)

    made = [
        (draft, trigger_id)
        for _, step in steps
        for draft, trigger_id in zip(step.drafts, step.trigger_ids, strict=True)
    ]
    expected = [
        (
            time.at,
            triggers[time.place].id,
            (backfill_key if key in known else fire_key)(triggers[time.place].id, time.at),
        )
        for time in times
        if known.get(key := fire_key(triggers[time.place].id, time.at)) is not False
    ]
    assert [(draft.fire_at, trigger_id, draft.key) for draft, trigger_id in made] == expected
    last = steps[-1][1].after
    assert (last.state, last.created_count, last.skipped_count) == ("finished", len(made), len(times) - len(made))
    assert last.steps_count == len(steps)
    began, burst = steps[0][0], max(BURST_SECONDS, 60 / rate)
    so_far = 0
    for at, step in steps:
        so_far += len(step.drafts)
        assert so_far <= ((at - began).total_seconds() + burst) * rate / 60 + 1e-6


def test_a_leader_that_was_away_lets_no_more_loose_than_a_moments_worth() -> None:
    one = structs.replace(backfill(state("t", 1.0), rate=600.0), paced_at=NOW - timedelta(hours=2))
    assert len(step_of(one, NOW).drafts) == 10


def test_a_step_is_bounded_and_goes_on_behind_itself() -> None:
    one = structs.replace(backfill(state("t", 0.5), rate=60_000.0), paced_at=NOW - timedelta(hours=2))
    first = step_of(one, NOW)
    assert (len(first.drafts), first.after.resume_at) == (STEP_TIMES_MAX, NOW + timedelta(seconds=1))
    then = step_of(first.after, NOW + timedelta(seconds=1))
    assert then.drafts[0].fire_at == first.drafts[-1].fire_at + timedelta(seconds=0.5)


def test_no_more_runs_are_live_than_it_may_have() -> None:
    one = structs.replace(backfill(state("t", 1.0), rate=60_000.0), paced_at=NOW - timedelta(hours=2))
    assert len(step_of(one, NOW, live=LIVE_MAX - 3).drafts) == 3
    full = step_of(one, NOW, live=LIVE_MAX + 7)
    assert (full.drafts, full.after.state, full.after.done_through) == ((), "running", None)
    assert full.after.resume_at == NOW + timedelta(seconds=1)


def test_priority_and_overlap_are_its_own_and_else_the_schedules() -> None:
    one = backfill(state("t", 600.0))
    assert (step_of(one, NOW).priority, step_of(one, NOW).run_policy().serial) == (4, True)
    own = structs.replace(one, priority=0, overlap="allow")
    assert (step_of(own, NOW).priority, step_of(own, NOW).run_policy().serial) == (0, False)


def test_an_empty_window_ends_at_once_and_one_without_its_schedule_too() -> None:
    night = TriggerState(TriggerId("t"), CronTrigger("0 3 * * *"), SINCE)
    assert step_of(backfill(night), NOW).after.state == "finished"
    gone = plan_step(DueBackfill(backfill(night), None, Policies(), 0, NOW), [], {})
    assert (gone.after.state, gone.drafts, gone.after.resume_at, gone.after.ended_at) == ("cancelled", (), None, NOW)


@pytest.mark.parametrize(
    ("field", "words", "changes"),
    [
        ("from", "no UTC offset", {"since": SINCE.replace(tzinfo=None)}),
        ("to", "no UTC offset", {"to": NOW.replace(tzinfo=None)}),
        ("to", "before from", {"to": SINCE - timedelta(seconds=1)}),
        ("to", "in the future", {"to": NOW + timedelta(seconds=1)}),
        ("from", "too long ago", {"since": NOW - timedelta(days=4_000)}),
        ("runs_per_minute_max", "outside", {"runs_per_minute_max": 0.0}),
        ("runs_per_minute_max", "not a number", {"runs_per_minute_max": float("nan")}),
        ("priority", "outside", {"priority": 10}),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(field: str, words: str, changes: dict[str, object]) -> None:
    request = BackfillRequest(SINCE, NOW)
    assert list(backfill_problems(request, NOW)) == []
    (problem,) = backfill_problems(structs.replace(request, **changes), NOW)
    assert problem.field == field
    assert words in problem.problem
    assert problem.remedy
