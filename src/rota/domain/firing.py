"""Firing as values: what is due, and the decided step of one trigger. `rota.core.firing` makes one from the other."""

from datetime import datetime

from msgspec import Struct

from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.policies import Policies
from rota.domain.schedule import TriggerState

# Who made a run that a schedule fired.
FIRED_BY = "schedule"


class DueTrigger(Struct, frozen=True):
    """A trigger whose time has come, with all that deciding needs. Live counts are of its schedule.

    `is_withheld`: the flag `firing` is off, for its tenant or for all. The target is not among it: a run takes the one
    that its schedule has in `schedule_version`.
    """

    tenant_id: TenantId
    schedule_id: ScheduleId
    schedule_version: int
    schedule_name: str
    trigger: TriggerState
    policies: Policies
    queued_count: int
    running_count: int
    is_withheld: bool = False


class DuePosition(Struct, frozen=True, order=True):
    """A place in the order of due triggers, the longest due first: behind the trigger that it names."""

    next_fire_at: datetime
    trigger_id: TriggerId


class UnreadableTrigger(Struct, frozen=True):
    """A due trigger that this version cannot read: a newer one has stored it. It waits, and holds up nobody."""

    tenant_id: TenantId
    schedule_id: ScheduleId
    trigger_id: TriggerId
    problem: str


class DueBatch(Struct, frozen=True):
    """`now` is the store's time at which `triggers` were read: every decision of the batch uses it.

    `end` is where the next batch begins; None where nothing was due behind this one.
    """

    now: datetime
    triggers: tuple[DueTrigger, ...]
    end: DuePosition | None = None
    unreadable: tuple[UnreadableTrigger, ...] = ()


class FireDraft(Struct, frozen=True):
    """A nominal time that was decided, to run or not to. All else is its schedule's own: target, queue, policy.

    `key` is the identity of (trigger, fire_at): see `core.run_identity`. The delay is the jitter, after `fire_at`.
    """

    fire_at: datetime
    key: str
    reason: str
    delay_seconds: float = 0.0


class TriggerAdvance(Struct, frozen=True):
    """The decided step of one trigger, applied only if `next_fire_at` and the schedule's version are as they were read.

    `runs` are born queued, `skipped` are recorded; `cancel_live` ends the schedule's runs that were live before.
    `policies` are the schedule's in that version. `late_count` of the runs fired later than the grace; `dropped_count`
    nominal times left no record.
    """

    trigger_before: TriggerState
    schedule_id: ScheduleId
    schedule_version: int
    tenant_id: TenantId
    policies: Policies
    fired_through: datetime
    next_fire_at: datetime | None
    fires_count: int
    runs: tuple[FireDraft, ...]
    skipped: tuple[FireDraft, ...]
    late_count: int = 0
    dropped_count: int = 0
    cancel_live: bool = False
