"""Laws of firing, over random schedules, outages and policies; and the search of due times against a plain walk."""

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from rota.core.due_times import COUNTED_MAX, count_through, last_before, newest_through
from rota.core.firing import plan_firing, plan_plain, plan_schedule
from rota.core.occurrences import Occurrences, compile_trigger
from rota.core.occurrences.instants import to_microseconds
from rota.core.trigger_times import first_fire, occurrences_of
from rota.domain.firing import DueBatch, DueTrigger, TriggerAdvance
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.policies import Misfire, Overlap, Policies
from rota.domain.schedule import TriggerState
from rota.domain.triggers import Calendar, CronTrigger, IntervalTrigger, Trigger
from tests.unit.core.values import NOON

SCHEDULE = ScheduleId("5c4ed01e-0000-7000-8000-000000000001")

TRIGGERS: st.SearchStrategy[Trigger] = st.one_of(
    st.builds(
        IntervalTrigger,
        every_seconds=st.sampled_from([0.25, 1, 7, 60, 3600, 86_400]),
        fires_max=st.none() | st.integers(1, 20),
        jitter_seconds=st.sampled_from([0.0, 0.2]),
    ),
    st.builds(
        CronTrigger,
        expression=st.sampled_from(
            ["* * * * *", "*/7 * * * *", "0 2 * * *", "30 1 * * *", "0 9 * * 1-5", "*/10 * * * * *", "0 0 29 2 *"]
        ),
        timezone=st.sampled_from(["UTC", "Europe/Paris", "Australia/Lord_Howe"]),
        calendar=st.sampled_from([None, Calendar(weekdays=("mon", "tue"))]),
    ),
)
POLICIES = st.builds(
    Policies,
    overlap=st.sampled_from(list[Overlap](["skip", "queue_one", "queue_all", "allow", "cancel_running"])),
    misfire=st.sampled_from(list[Misfire](["fire_once", "fire_all", "skip"])),
    misfire_grace_seconds=st.sampled_from([1.0, 60.0, 3600.0]),
    catch_up_max=st.integers(1, 12),
    catch_up_window_seconds=st.sampled_from([60.0, 7200.0, 86_400.0 * 30]),
)
OUTAGES = st.lists(
    st.one_of(st.floats(0.01, 5), st.floats(5, 4000), st.floats(4000, 86_400 * 400)), min_size=1, max_size=6
)
# How long one example takes is the machine's affair; that work is bounded is a law of its own below.
LAWS = settings(deadline=None, max_examples=60)
LIVES = st.tuples(st.integers(0, 2), st.integers(0, 2))


def advance_by(state: TriggerState, advance: TriggerAdvance) -> TriggerState:
    return changed(
        state,
        next_fire_at=advance.next_fire_at,
        fired_through=advance.fired_through,
        fires_count=advance.fires_count,
    )


def history(
    trigger: Trigger, policies: Policies, outages: list[float], live: tuple[int, int]
) -> list[tuple[datetime, TriggerState, TriggerAdvance]]:
    """Plans as the leader makes them: at each waking until nothing is due, at most five times."""
    fresh = TriggerState(TriggerId("t1"), trigger, NOON)
    state = changed(fresh, next_fire_at=first_fire(SCHEDULE, fresh, NOON, policies.misfire_grace_seconds))
    now, plans = NOON, list[tuple[datetime, TriggerState, TriggerAdvance]]()
    for outage in outages:
        now += timedelta(seconds=outage)
        for _ in range(5):
            due = DueTrigger(TenantId("acme"), SCHEDULE, 1, "s", state, policies, *live)
            for advance in plan_firing(DueBatch(now, (due,))):
                plans.append((now, state, advance))
                state = advance_by(state, advance)
    return plans


@LAWS
@given(TRIGGERS, POLICIES, OUTAGES, LIVES)
def test_a_nominal_time_is_decided_at_most_once(
    trigger: Trigger, policies: Policies, outages: list[float], live: tuple[int, int]
) -> None:
    decided: list[datetime] = []
    for now, before, advance in history(trigger, policies, outages, live):
        times = [*(run.fire_at for run in advance.runs), *(skip.fire_at for skip in advance.skipped)]
        known = sorted(times)
        assert all(before.fired_through is None or time > before.fired_through for time in known)
        assert all(time <= advance.fired_through <= now for time in known)
        decided += known
    assert all(earlier < later for earlier, later in pairwise(sorted(decided)))


@LAWS
@given(TRIGGERS, POLICIES, st.floats(0.001, 4000.0), st.floats(0.0, 3.0))
def test_a_stored_time_that_is_off_the_grid_is_decided_too(
    trigger: Trigger, policies: Policies, early: float, share: float
) -> None:
    """Rules of zones change, and with them what a trigger's times would have been."""
    fresh = TriggerState(TriggerId("t1"), trigger, NOON)
    first = first_fire(SCHEDULE, fresh, NOON, policies.misfire_grace_seconds)
    assert first is not None
    off_grid = first - timedelta(seconds=early)
    due = DueTrigger(TenantId("acme"), SCHEDULE, 1, "s", changed(fresh, next_fire_at=off_grid), policies, 0, 0)

    late = timedelta(seconds=policies.misfire_grace_seconds + share * early)
    advances = plan_firing(DueBatch(off_grid + late, (due,)))

    assert [advance.fired_through >= off_grid for advance in advances] == [True]


@LAWS
@given(TRIGGERS, POLICIES, OUTAGES, LIVES)
def test_progress_is_monotone_and_next_is_the_time_after_it(
    trigger: Trigger, policies: Policies, outages: list[float], live: tuple[int, int]
) -> None:
    for _, before, advance in history(trigger, policies, outages, live):
        assert before.fired_through is None or advance.fired_through > before.fired_through
        spent = trigger.fires_max is not None and advance.fires_count >= trigger.fires_max
        following = occurrences_of(SCHEDULE, before).next_after(advance.fired_through)
        assert advance.next_fire_at == (None if spent else following)
        assert advance.fires_count == before.fires_count + len(advance.runs)
        assert trigger.fires_max is None or advance.fires_count <= trigger.fires_max


@LAWS
@given(TRIGGERS, POLICIES, st.lists(st.floats(0.0, 9000.0), min_size=1, max_size=6), st.sampled_from([(0, 0), (1, 0)]))
def test_the_short_way_says_what_the_long_way_says(
    trigger: Trigger, policies: Policies, outages: list[float], live: tuple[int, int]
) -> None:
    for now, before, _ in history(trigger, policies, outages, live):
        for withheld in (False, True):
            due = DueTrigger(TenantId("acme"), SCHEDULE, 1, "s", before, policies, *live, withheld)
            short = plan_plain(due, to_microseconds(now))
            assert short is None or [short] == plan_schedule([due], now)


@LAWS
@given(TRIGGERS, POLICIES, st.floats(0.0, 90_000.0), LIVES)
def test_what_is_withheld_makes_no_run_and_every_time_of_it_is_told(
    trigger: Trigger, policies: Policies, outage: float, live: tuple[int, int]
) -> None:
    now = NOON + timedelta(seconds=outage)
    fresh = TriggerState(TriggerId("t1"), trigger, NOON)
    before = changed(fresh, next_fire_at=first_fire(SCHEDULE, fresh, NOON, policies.misfire_grace_seconds))
    due = DueTrigger(TenantId("acme"), SCHEDULE, 1, "s", before, policies, *live, is_withheld=True)
    for advance in plan_firing(DueBatch(now, (due,))):
        assert (advance.runs, advance.cancel_live, advance.fires_count) == ((), False, 0)
        (record,) = advance.skipped
        assert record.fire_at == advance.fired_through <= now
        assert "flag firing is off" in record.reason
        assert advance.next_fire_at is None or advance.next_fire_at > now
        first = before.next_fire_at
        assert first is not None
        times = occurrences_of(SCHEDULE, before)
        due_count = count_through(times, to_microseconds(first), to_microseconds(record.fire_at)).count
        assert 1 + advance.dropped_count == due_count


def test_the_short_way_is_taken_by_the_ordinary_firing() -> None:
    every, daily = IntervalTrigger(every_seconds=60), CronTrigger(expression="0 12 * * *")
    for spec in (every, daily, changed(every, jitter_seconds=5.0)):
        due = DueTrigger(
            TenantId("acme"), SCHEDULE, 1, "s", TriggerState(TriggerId("t1"), spec, NOON, NOON), Policies(), 0, 0
        )
        now = NOON + timedelta(seconds=2)
        assert plan_plain(due, to_microseconds(now)) is not None
        (withheld,) = plan_firing(DueBatch(now, (changed(due, is_withheld=True),)))
        assert (withheld.runs, len(withheld.skipped), withheld.fires_count) == ((), 1, 0)


@LAWS
@given(TRIGGERS, POLICIES, OUTAGES, LIVES)
def test_no_policy_allows_more_than_it_says(
    trigger: Trigger, policies: Policies, outages: list[float], live: tuple[int, int]
) -> None:
    queued, running = live
    for now, _, advance in history(trigger, policies, outages, live):
        late = [
            run
            for run in advance.runs
            if run.fire_at and (now - run.fire_at).total_seconds() > policies.misfire_grace_seconds
        ]
        assert len(late) == advance.late_count
        bound = {"fire_once": 1, "fire_all": policies.catch_up_max, "skip": 0}[policies.misfire]
        assert len(late) <= bound
        if policies.misfire == "fire_all":
            window = policies.catch_up_window_seconds
            assert all(run.fire_at and (now - run.fire_at).total_seconds() <= window for run in late)
        if policies.overlap == "skip":
            assert len(advance.runs) <= (0 if queued + running else 1)
        if policies.overlap == "queue_one":
            assert len(advance.runs) <= max(0, 1 - queued)
        if policies.overlap == "cancel_running":
            assert len(advance.runs) <= 1
        assert advance.cancel_live == (
            policies.overlap == "cancel_running" and bool(advance.runs) and queued + running > 0
        )


@LAWS
@given(TRIGGERS, POLICIES, OUTAGES, LIVES)
def test_every_due_time_of_an_interval_is_accounted_for(
    trigger: Trigger, policies: Policies, outages: list[float], live: tuple[int, int]
) -> None:
    if not isinstance(trigger, IntervalTrigger):
        return
    for _, before, advance in history(changed(trigger, fires_max=None), policies, outages, live):
        assert before.next_fire_at is not None
        counted = count_through(
            occurrences_of(SCHEDULE, before),
            to_microseconds(before.next_fire_at),
            to_microseconds(advance.fired_through),
        )
        assert counted.exact
        assert len(advance.runs) + len(advance.skipped) + advance.dropped_count == counted.count


@LAWS
@given(TRIGGERS, POLICIES, OUTAGES, LIVES)
def test_work_is_bounded_however_long_the_outage(
    trigger: Trigger, policies: Policies, outages: list[float], live: tuple[int, int]
) -> None:
    for _, _, advance in history(trigger, policies, outages, live):
        assert len(advance.runs) <= 1000 + policies.catch_up_max
        assert len(advance.skipped) <= 21


def walked(occurrences: Occurrences, first_us: int, limit_us: int) -> list[int]:
    """Every time from `first_us`, which is one, to before `limit_us`; the slow and obvious way."""
    times, time = list[int](), first_us
    following: int | None = time
    while following is not None and following < limit_us:
        times.append(following)
        following = occurrences.next_us(following)
    return times


@LAWS
@given(TRIGGERS, st.floats(1, 86_400), st.integers(1, 30), st.floats(0, 86_400))
def test_searching_agrees_with_walking(trigger: Trigger, seconds: float, count_max: int, skipped: float) -> None:
    occurrences = compile_trigger(trigger, hash_key=SCHEDULE, anchor=NOON)
    first = occurrences.next_us(to_microseconds(NOON))
    assert first is not None
    times = walked(occurrences, first, first + 1 + round(seconds * 1e6))
    after = first - 1 + round(skipped * 1e6)

    assert last_before(occurrences, first, first + 1 + round(seconds * 1e6)) == times[-1]
    expected = [time for time in times if time > after][-count_max:]
    assert newest_through(occurrences, after, times[-1], count_max) == expected
    counted = count_through(occurrences, first, times[-1])
    assert counted.count == (len(times) if counted.exact else COUNTED_MAX)
    assert counted.exact or len(times) > COUNTED_MAX
