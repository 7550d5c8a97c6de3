"""How ended runs are added up, and what sums tell of durations. Pure; the database adds in the same way."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime

from rota.domain.ids import ScheduleId, TenantId
from rota.domain.run import Run
from rota.domain.statistics import CLASSES_COUNT, DURATION_CLASSES_MS, LATE_START_MS, MS_MAX, EndedRun, RunSums


def ended_run(run: Run) -> EndedRun:
    """Of a run that has ended."""
    ended_at = run.finished_at or run.created_at
    wait = None if run.started_at is None or run.attempts_count != 1 else _elapsed_ms(run.due_at, run.started_at)
    duration = None if run.started_at is None else _elapsed_ms(run.started_at, ended_at)
    return EndedRun(run.tenant_id, run.schedule_id, ended_at, run.state, duration, wait)


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def duration_class(duration_ms: int) -> int:
    """The place in `RunSums.duration_counts`."""
    return bisect_right(DURATION_CLASSES_MS, duration_ms)


def sums_of(run: EndedRun) -> RunSums:
    """Of one run."""
    counts = [0] * CLASSES_COUNT
    if run.duration_ms is not None:
        counts[duration_class(run.duration_ms)] = 1
    return RunSums(
        succeeded_count=int(run.state == "succeeded"),
        failed_count=int(run.state == "failed"),
        cancelled_count=int(run.state == "cancelled"),
        skipped_count=int(run.state == "skipped"),
        late_starts_count=int(run.wait_ms is not None and run.wait_ms > LATE_START_MS),
        waits_count=int(run.wait_ms is not None),
        wait_ms_sum=run.wait_ms or 0,
        wait_ms_max=run.wait_ms or 0,
        duration_ms_sum=run.duration_ms or 0,
        duration_ms_max=run.duration_ms or 0,
        duration_counts=tuple(counts),
    )


def add(one: RunSums, other: RunSums) -> RunSums:
    """Associative, commutative, with `RunSums()` as nothing: so it does not matter in which order deltas come."""
    return RunSums(
        one.succeeded_count + other.succeeded_count,
        one.failed_count + other.failed_count,
        one.cancelled_count + other.cancelled_count,
        one.skipped_count + other.skipped_count,
        one.late_starts_count + other.late_starts_count,
        one.waits_count + other.waits_count,
        one.wait_ms_sum + other.wait_ms_sum,
        max(one.wait_ms_max, other.wait_ms_max),
        one.duration_ms_sum + other.duration_ms_sum,
        max(one.duration_ms_max, other.duration_ms_max),
        tuple(a + b for a, b in zip(one.duration_counts, other.duration_counts, strict=True)),
    )


def add_all(sums: Iterable[RunSums]) -> RunSums:
    total = RunSums()
    for one in sums:
        total = add(total, one)
    return total


SumKey = tuple[TenantId, ScheduleId | None, datetime]


def by_hour(runs: Iterable[EndedRun]) -> dict[SumKey, RunSums]:
    """For each schedule's hours, and for each tenant's under no schedule."""
    sums: dict[SumKey, RunSums] = {}
    for run in runs:
        hour, one = hour_of(run.ended_at), sums_of(run)
        for schedule_id in {None, run.schedule_id}:
            key = (run.tenant_id, schedule_id, hour)
            sums[key] = add(sums.get(key, RunSums()), one)
    return sums


def duration_quantile_seconds(sums: RunSums, share: float) -> float | None:
    """The duration that `share` of the attempts do not exceed, by their classes; None where none was timed.

    It is right to the class, and within one as if durations lay evenly there: 1.7 times too much or too little at most
    in the ordinary classes, and never above the longest.
    """
    timed = sum(sums.duration_counts)
    if timed == 0:
        return None
    rank = share * timed
    passed = 0
    for place, count in enumerate(sums.duration_counts):
        if count and passed + count >= rank:
            low = DURATION_CLASSES_MS[place - 1] if place else 0
            high = DURATION_CLASSES_MS[place] if place < len(DURATION_CLASSES_MS) else sums.duration_ms_max
            high = max(low, min(high, sums.duration_ms_max))
            return (low + (high - low) * max(0.0, rank - passed) / count) / 1000
        passed += count
    return sums.duration_ms_max / 1000


def _elapsed_ms(since: datetime, until: datetime) -> int:
    """Clocks may be set back: nothing took less than no time."""
    return min(max(round((until - since).total_seconds() * 1000), 0), MS_MAX)
