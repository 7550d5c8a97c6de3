from datetime import UTC, datetime, timedelta
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from rota.core.statistics import add, add_all, by_hour, duration_class, duration_quantile_seconds, hour_of, sums_of
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.statistics import CLASSES_COUNT, DURATION_CLASSES_MS, LATE_START_MS, MS_MAX, EndedRun, RunSums

START = datetime(2026, 3, 1, tzinfo=UTC)
milliseconds = st.none() | st.integers(0, MS_MAX)
ended_runs = st.builds(
    EndedRun,
    st.sampled_from([TenantId("acme"), TenantId("globex")]),
    st.sampled_from([None, ScheduleId("a"), ScheduleId("b")]),
    st.integers(0, 10_000).map(lambda seconds: START + timedelta(seconds=seconds)),
    st.sampled_from(["succeeded", "failed", "cancelled", "skipped"]),
    milliseconds,
    milliseconds,
)


@given(st.lists(ended_runs), st.randoms())
def test_the_sum_of_summaries_is_the_lifetime_in_whatever_parts_and_order_they_came(
    runs: list[EndedRun], rng: object
) -> None:
    cut = len(runs) // 2
    parts = [by_hour(runs[:cut]), by_hour(list(reversed(runs[cut:])))]
    for tenant_id in {run.tenant_id for run in runs}:
        lifetime = add_all(sums_of(run) for run in runs if run.tenant_id == tenant_id)
        hours = [sums for part in parts for key, sums in part.items() if key[:2] == (tenant_id, None)]
        assert add_all(hours) == lifetime
        assert lifetime.ended_count == sum(run.tenant_id == tenant_id for run in runs)
        of_schedules = [s for part in parts for key, s in part.items() if key[0] == tenant_id and key[1] is not None]
        without = [sums_of(run) for run in runs if run.tenant_id == tenant_id and run.schedule_id is None]
        assert add(add_all(of_schedules), add_all(without)) == lifetime


@given(st.lists(st.integers(0, 10**8), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_class_of_the_true_one_and_never_above_the_longest(
    durations: list[int], share: float
) -> None:
    sums = add_all(sums_of(EndedRun(TenantId("a"), None, START, "succeeded", ms, None)) for ms in durations)
    estimate = duration_quantile_seconds(sums, share)
    assert estimate is not None
    reached = accumulate(sums.duration_counts)
    place = next(place for place, count in enumerate(reached) if count >= share * len(durations))
    true = sorted(durations)[next(n for n in range(len(durations)) if n + 1 >= share * len(durations))]
    assert duration_class(true) == place
    low = DURATION_CLASSES_MS[place - 1] if place else 0
    high = DURATION_CLASSES_MS[place] if place < len(DURATION_CLASSES_MS) else max(durations)
    assert low / 1000 <= estimate <= min(high, max(durations)) / 1000 + 1e-9


def test_without_durations_there_is_no_quantile() -> None:
    skipped = sums_of(EndedRun(TenantId("a"), None, START, "skipped", None, None))
    assert duration_quantile_seconds(skipped, 0.95) is None
    assert skipped == RunSums(skipped_count=1)


def test_every_duration_has_a_class_and_a_class_begins_at_its_bound() -> None:
    assert [duration_class(ms) for ms in (0, *DURATION_CLASSES_MS)] == list(range(CLASSES_COUNT))
    assert [duration_class(ms - 1) for ms in DURATION_CLASSES_MS] == list(range(CLASSES_COUNT - 1))


def test_a_start_is_late_when_it_waited_longer_than_a_minute() -> None:
    late = [
        sums_of(EndedRun(TenantId("a"), None, START, "succeeded", 0, ms)).late_starts_count
        for ms in (LATE_START_MS, LATE_START_MS + 1)
    ]
    assert late == [0, 1]


def test_an_hour_is_of_utc_whatever_zone_it_is_told_in() -> None:
    in_kathmandu = datetime.fromisoformat("2026-03-01T12:50:00+05:45")
    assert hour_of(in_kathmandu) == datetime(2026, 3, 1, 7, tzinfo=UTC)
