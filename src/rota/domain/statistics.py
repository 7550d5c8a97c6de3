"""Sums of runs: by hour for a schedule or a tenant, and of a whole life.

Sums are added, never recomputed from what is left of history.
"""

from datetime import datetime
from itertools import pairwise

from msgspec import Struct

from rota.domain.ids import ScheduleId, TenantId
from rota.domain.run import RunState

# Durations are counted in classes that begin at these; the first begins at 0. `scheduler.duration_class` has them, too.
DURATION_CLASSES_MS = (
    10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000,
)  # fmt: skip
CLASSES_COUNT = len(DURATION_CLASSES_MS) + 1
assert all(low < high for low, high in pairwise(DURATION_CLASSES_MS))

# A run that began longer than this after it was due began late. Being queued behind others is being late, too.
LATE_START_MS = 60_000
MS_MAX = 2**31 - 1


class EndedRun(Struct, frozen=True):
    """What is counted of a run: `duration_ms` of its last attempt, `wait_ms` from due to begun if it was tried once."""

    tenant_id: TenantId
    schedule_id: ScheduleId | None
    ended_at: datetime
    state: RunState
    duration_ms: int | None
    wait_ms: int | None


class RunSums(Struct, frozen=True):
    """`duration_counts` has one place per class of durations; `waits_count` is how many waits are in `wait_ms_sum`."""

    succeeded_count: int = 0
    failed_count: int = 0
    cancelled_count: int = 0
    skipped_count: int = 0
    late_starts_count: int = 0
    waits_count: int = 0
    wait_ms_sum: int = 0
    wait_ms_max: int = 0
    duration_ms_sum: int = 0
    duration_ms_max: int = 0
    duration_counts: tuple[int, ...] = (0,) * CLASSES_COUNT

    @property
    def ended_count(self) -> int:
        return self.succeeded_count + self.failed_count + self.cancelled_count + self.skipped_count


class HourSums(Struct, frozen=True):
    """The runs that ended in the hour (UTC) that begins at `hour`."""

    hour: datetime
    sums: RunSums


class LifetimeSums(Struct, frozen=True):
    """All that ever ended, from the hour `since`; None where nothing has."""

    since: datetime | None
    sums: RunSums


class ComparedHour(Struct, frozen=True):
    """Records of runs that ended in the hour, and how many of them the statistics lack."""

    hour: datetime
    found_count: int
    uncounted_count: int
