"""Schedules on the wire: a trigger's definition and its progress stand side by side in one flat object."""

from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import asdict

from rota.api.rest.page_wire import PageQuery
from rota.domain.errors import invalid_input
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.intervention import Intervention
from rota.domain.policies import Policies
from rota.domain.problems import FieldProblem
from rota.domain.schedule import Schedule, ScheduleDraft, TriggerState
from rota.domain.targets import Target
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, MilestoneTrigger
from rota.ports.schedule_store import ScheduleFilter
from rota.services.schedule_previewing import TriggerPreview

PREVIEW_LIMIT_DEFAULT = 10
PREVIEW_LIMIT_MAX = 500


# A struct has one base, so that the progress stands in each view. `fired_through` is the newest nominal time that was
# decided; `next_fire_at` is null where nothing is to come; `fires_left` is what `fires_max` leaves, null without one.
_PROGRESS = ("id", "anchor_at", "next_fire_at", "fired_through", "fires_count", "fires_left")


class CronTriggerView(CronTrigger, frozen=True, kw_only=True, tag_field="kind", tag="cron"):
    """A cron trigger with its progress."""

    id: TriggerId
    anchor_at: datetime
    next_fire_at: datetime | None
    fired_through: datetime | None
    fires_count: int
    fires_left: int | None


class IntervalTriggerView(IntervalTrigger, frozen=True, kw_only=True, tag_field="kind", tag="interval"):
    """An interval trigger with its progress."""

    id: TriggerId
    anchor_at: datetime
    next_fire_at: datetime | None
    fired_through: datetime | None
    fires_count: int
    fires_left: int | None


class AtTriggerView(AtTrigger, frozen=True, kw_only=True, tag_field="kind", tag="at"):
    """A trigger that fires once, with its progress."""

    id: TriggerId
    anchor_at: datetime
    next_fire_at: datetime | None
    fired_through: datetime | None
    fires_count: int
    fires_left: int | None


class MilestoneTriggerView(MilestoneTrigger, frozen=True, kw_only=True, tag_field="kind", tag="milestone"):
    """A milestone trigger. How far it is with each subject is told by `/milestones`."""

    id: TriggerId
    anchor_at: datetime
    next_fire_at: datetime | None
    fired_through: datetime | None
    fires_count: int
    fires_left: int | None


TriggerView: TypeAlias = CronTriggerView | IntervalTriggerView | AtTriggerView | MilestoneTriggerView


class ScheduleView(Struct, frozen=True, kw_only=True):
    """The whole of a schedule. `next_fire_at` is the earliest of its triggers'."""

    id: ScheduleId
    tenant_id: TenantId
    name: str
    version: int
    enabled: bool
    next_fire_at: datetime | None
    triggers: tuple[TriggerView, ...]
    target: Target
    policies: Policies
    description: str
    labels: dict[str, str]
    paused_reason: str | None
    needs_intervention: bool
    intervention: Intervention | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    deleted_at: datetime | None
    deleted_by: str | None


class ScheduleQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All given conditions must hold; ordered by name."""

    name: Annotated[str, Meta(max_length=200)] | None = None
    name_prefix: Annotated[str, Meta(max_length=200)] | None = None
    enabled: bool | None = None
    label: Annotated[str, Meta(max_length=400, description="`key=value`.")] | None = None
    needs_intervention: bool | None = None
    deleted: Annotated[bool, Meta(description="The soft-deleted ones instead.")] = False

    def filter(self) -> ScheduleFilter:
        return ScheduleFilter(
            self.name, self.name_prefix, self.enabled, self.deleted, _label(self.label), self.needs_intervention
        )


class PreviewQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much to look ahead."""

    limit: Annotated[int, Meta(ge=1, le=PREVIEW_LIMIT_MAX, description="Fires to show.")] = PREVIEW_LIMIT_DEFAULT
    after: Annotated[datetime, Meta(tz=True, description="Default: now.")] | None = None


class PauseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` is kept with the schedule and shown wherever it is."""

    reason: str = ""


class ResumeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Times between a past `from` and now fall under the misfire policy; without it, firing goes on after now.

    After an intervention the schedule is on probation, where its first failure stops it again; `reset_streak` forgives
    what was before.
    """

    since: datetime | None = field(default=None, name="from")
    reset_streak: bool = False


class PreviewedFire(Struct, frozen=True):
    """`trigger` is the place of the trigger in the schedule; `note` says what is unusual, or is null."""

    fire_at: datetime
    note: str | None
    trigger: int


class PreviewedSkip(Struct, frozen=True):
    """A time at which nothing fires, and why."""

    at: datetime
    note: str | None
    trigger: int


class PreviewBody(Struct, frozen=True):
    """Fires, and beside them the times at which nothing will fire."""

    items: tuple[PreviewedFire, ...]
    skipped: tuple[PreviewedSkip, ...]


class SchedulesCreated(Struct, frozen=True):
    """In the order of the request."""

    items: tuple[ScheduleView, ...]
    created_count: int


def schedule_view(schedule: Schedule) -> ScheduleView:
    known = {name: getattr(schedule, name) for name in ScheduleView.__struct_fields__ if name != "triggers"}
    return ScheduleView(**known, triggers=tuple(trigger_view(trigger) for trigger in schedule.triggers))


def trigger_view(state: TriggerState) -> TriggerView:
    """A kind without a view is found by the type checker."""
    progress = {name: getattr(state, name) for name in _PROGRESS}
    match state.spec:
        case CronTrigger():
            return CronTriggerView(**asdict(state.spec), **progress)
        case IntervalTrigger():
            return IntervalTriggerView(**asdict(state.spec), **progress)
        case AtTrigger():
            return AtTriggerView(**asdict(state.spec), **progress)
        case MilestoneTrigger():
            return MilestoneTriggerView(**asdict(state.spec), **progress)


def preview_body(found: tuple[TriggerPreview, ...]) -> PreviewBody:
    return PreviewBody(
        tuple(PreviewedFire(one.item.fire_at, one.item.note, one.trigger) for one in found if one.item.fires),
        tuple(PreviewedSkip(one.item.fire_at, one.item.note, one.trigger) for one in found if not one.item.fires),
    )


def _label(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise invalid_input(
            [FieldProblem("label", f"{text!r} is no `key=value`", "send it such as label=team=billing")]
        )
    return key, value


SCHEDULE_EXAMPLE = {
    "name": "nightly-report",
    "triggers": [{"kind": "cron", "expression": "0 2 * * *", "timezone": "Europe/Paris"}],
    "target": {"kind": "task", "task": "reports.nightly", "args": {"days": 1}},
    "policies": {"overlap": "skip", "misfire": "fire_once", "retry": {"delays_seconds": [1800, 7200, 86400]}},
    "labels": {"team": "billing"},
}

BulkDrafts: TypeAlias = list[ScheduleDraft]
