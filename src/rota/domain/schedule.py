"""A schedule: a named definition in a tenant, made of triggers, a target and policies. Versioned and soft-deleted.

A schedule's own record changes by compare-and-swap on `version`. Its triggers' progress (`next_fire_at`,
`fired_through`, `fires_count`) is advanced by the leader alone and does not change the version.
"""

from datetime import datetime

from msgspec import Struct, field

from rota.domain.calendar import NamedCalendar
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.intervention import Intervention
from rota.domain.policies import Policies
from rota.domain.targets import Target
from rota.domain.triggers import Trigger


class TriggerState(Struct, frozen=True):
    """A trigger with its progress.

    `fired_through` is the newest nominal time that has been decided, monotone: the guard against a second firing.
    `next_fire_at` is None where nothing is to come: exhausted, paused or deleted. `calendars` are those that the spec
    names, in the version that `next_fire_at` was planned by.
    """

    id: TriggerId
    spec: Trigger
    anchor_at: datetime
    next_fire_at: datetime | None = None
    fired_through: datetime | None = None
    fires_count: int = 0
    calendars: tuple[NamedCalendar, ...] = ()

    @property
    def fires_left(self) -> int | None:
        """How many runs `fires_max` leaves; None where it sets no bound."""
        fires_max = self.spec.fires_max
        return None if fires_max is None else max(0, fires_max - self.fires_count)


class ScheduleDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller sends to create or replace a schedule (design §7)."""

    name: str
    triggers: tuple[Trigger, ...]
    target: Target
    policies: Policies = field(default_factory=Policies)
    enabled: bool = True
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])


class Schedule(Struct, frozen=True):
    """The whole of a schedule. Times are UTC."""

    id: ScheduleId
    tenant_id: TenantId
    name: str
    version: int
    enabled: bool
    triggers: tuple[TriggerState, ...]
    target: Target
    policies: Policies
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    paused_reason: str | None = None
    needs_intervention: bool = False
    intervention: Intervention | None = None
    deleted_at: datetime | None = None
    deleted_by: str | None = None

    @property
    def next_fire_at(self) -> datetime | None:
        return min((t.next_fire_at for t in self.triggers if t.next_fire_at is not None), default=None)
