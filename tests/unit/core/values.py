"""Plain values that the tests of the core begin from."""

from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from rota.core.schedule_changes import Change, create_schedule
from rota.domain.ids import AttemptToken, RunId, ScheduleId, TenantId, TriggerId
from rota.domain.policies import Policies, RetryPolicy, RunPolicy
from rota.domain.run import ClaimedRun
from rota.domain.schedule import Schedule, ScheduleDraft
from rota.domain.targets import TaskTarget
from rota.domain.triggers import IntervalTrigger, Trigger

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ACME = TenantId("acme")
BY_ANA = Change("ana", NOON)
TRIGGER_IDS = tuple(TriggerId(f"00000000-0000-7000-8000-0000000000{number:02}") for number in range(30))


class DraftFields(TypedDict, total=False):
    """The fields of a draft that have a default."""

    enabled: bool
    description: str
    labels: dict[str, str]


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def by_ana(at: datetime) -> Change:
    return Change("ana", at)


def draft(*triggers: Trigger, policies: Policies | None = None, **fields: Unpack[DraftFields]) -> ScheduleDraft:
    chosen = triggers or (IntervalTrigger(every_seconds=60),)
    return ScheduleDraft("nightly", chosen, TaskTarget("report"), policies or Policies(), **fields)


def created(*triggers: Trigger, policies: Policies | None = None, **fields: Unpack[DraftFields]) -> Schedule:
    schedule, _ = create_schedule(
        draft(*triggers, policies=policies, **fields),
        schedule_id=ScheduleId("5c4ed01e-0000-7000-8000-000000000001"),
        tenant_id=ACME,
        trigger_ids=TRIGGER_IDS[:20],
        change=BY_ANA,
    )
    return schedule


def claimed(attempt_no: int = 1, losses_count: int = 0, retry: RetryPolicy | None = None) -> ClaimedRun:
    return ClaimedRun(
        RunId("41110000-0000-7000-8000-000000000001"),
        ACME,
        AttemptToken(attempt_no),
        attempt_no,
        TaskTarget("report"),
        RunPolicy(retry=retry or RetryPolicy()),
        "default",
        NOON,
        losses_count=losses_count,
    )


class LoadedDice:
    """Always throws the same."""

    def __init__(self, value: float = 0.5) -> None:
        self._value = value

    def uniform(self) -> float:
        return self._value
