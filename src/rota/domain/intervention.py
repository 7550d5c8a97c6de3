"""Interventions: a schedule whose runs go on failing stops, says why, and waits for somebody or for its cool-off."""

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from rota.domain.ids import RunId, ScheduleId
from rota.domain.run import FailureClass

InterventionCause: TypeAlias = Literal["streak", "window", "probation"]

FAILURES_KEPT_MAX = 100
"""Of one schedule, the newest: the rules look no further back."""

CRITICAL_FAILURES_COUNT = 5


class ScheduleFailure(Struct, frozen=True):
    """A run of a schedule that failed for good. `pattern` is its error's first line without what differs each time."""

    run_id: RunId
    created_at: datetime
    failed_at: datetime
    failure_class: FailureClass
    pattern: str


class Intervention(Struct, frozen=True):
    """The last one of a schedule. It is open until `resumed_at`.

    `failures_count` are those that it is about, and with a failure on probation those of the one before as well.
    `cool_off_until` is when the schedule resumes by itself; None where it waits for somebody. On probation the first
    failure opens the next one.
    """

    opened_at: datetime
    cause: InterventionCause
    failure_class: FailureClass
    pattern: str
    failures_count: int
    cool_off_until: datetime | None = None
    resumed_at: datetime | None = None
    on_probation: bool = False


class OldestIntervention(Struct, frozen=True):
    """The one that waits longest."""

    schedule_id: ScheduleId
    name: str
    opened_at: datetime


class InterventionSummary(Struct, frozen=True):
    """The open ones of a tenant. `by_type` counts by the task's name, or by `http`; critical are those about
    `CRITICAL_FAILURES_COUNT` failures or more.
    """

    total_count: int
    by_type: dict[str, int]
    by_class: dict[str, int]
    critical_count: int
    oldest: OldestIntervention | None
