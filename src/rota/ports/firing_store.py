"""What the leader needs to fire: due triggers, and one fenced write per batch (design §5 Firing)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from rota.domain.ids import ScheduleId, TenantId
from rota.domain.lease import Fence
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
    """A nominal time that was decided not to run, and why. It is stored as a `skipped` run where `record` is true."""

    draft: RunDraft
    reason: str


class TriggerAdvance(Struct, frozen=True):
    """The decided step of one trigger, applied only if `next_fire_at` and the schedule's version are as they were read.

    `runs` are born queued (each with its key), `skipped` are recorded; `cancel_live` ends the schedule's live runs first.
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


class FiringResult(Struct, frozen=True):
    """`refused` triggers had changed underneath and will be read again. `queues` are those with new work."""

    runs_created: int
    runs_skipped: int
    advanced: int
    refused: int
    queues: tuple[str, ...]


class LeaderLook(Struct, frozen=True):
    """One cheap statement that tells the leader what there is to do. Seconds are from the store's now; None = nothing."""

    next_fire_in_seconds: float | None
    lost_workers: bool
    overdue_attempts: bool


class FiringStore(Protocol):
    """The leader's side. `apply` is one transaction in one round trip and carries the fence."""

    async def look(self, overdue_grace_seconds: float) -> LeaderLook: ...

    async def due_triggers(self, limit: int) -> DueBatch:
        """The longest due first."""
        ...

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        """Raises `Stale` when the fence is not current: nothing was written then."""
        ...
