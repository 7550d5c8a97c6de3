"""Firing as values: what is due, and the decided step of one trigger. `rota.core.firing` makes one from the other."""

from datetime import datetime

from msgspec import Struct

from rota.domain.ids import ScheduleId, TenantId
from rota.domain.policies import Policies
from rota.domain.run import RunDraft
from rota.domain.schedule import TriggerState
from rota.domain.targets import Target


class DueTrigger(Struct, frozen=True):
    """A trigger whose time has come, with all that deciding needs. Live counts are of its schedule."""

    tenant_id: TenantId
    schedule_id: ScheduleId
    schedule_version: int
    schedule_name: str
    trigger: TriggerState
    target: Target
    policies: Policies
    queued_count: int
    running_count: int


class DueBatch(Struct, frozen=True):
    """`now` is the store's time at which `triggers` were read: every decision of the batch uses it."""

    now: datetime
    triggers: tuple[DueTrigger, ...]


class SkippedFire(Struct, frozen=True):
    """A nominal time that was decided not to run, and why. It is stored as a `skipped` run."""

    draft: RunDraft
    reason: str


class TriggerAdvance(Struct, frozen=True):
    """The decided step of one trigger, applied only if `next_fire_at` and the schedule's version are as they were read.

    `runs` are born queued (each with its key), `skipped` are recorded; `cancel_live` ends the schedule's runs that were
    live before. `late_count` of the runs fired later than the grace; `dropped_count` nominal times left no record.
    """

    trigger_before: TriggerState
    schedule_id: ScheduleId
    schedule_version: int
    tenant_id: TenantId
    fired_through: datetime
    next_fire_at: datetime | None
    fires_count: int
    runs: tuple[RunDraft, ...]
    skipped: tuple[SkippedFire, ...]
    late_count: int = 0
    dropped_count: int = 0
    cancel_live: bool = False
