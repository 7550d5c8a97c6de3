"""How long history is kept, what is over, and dropping it now: the platform's business."""

from datetime import date, datetime

from msgspec import Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.retention import KEEP_DAYS_MAX, KINDS, RetentionRules
from rota.services.retention import AppliedRetention

READ = Access("retention", "read")


class RetentionRuleView(Struct, frozen=True):
    """A rule with its bounds. `within`: the kind that it may not outlive."""

    kind: str
    what: str
    keep_days: int
    least_days: int
    most_days: int
    within: str | None
    changed_at: datetime | None
    changed_by: str | None


class RetentionView(Struct, frozen=True):
    """All rules."""

    as_of: datetime
    items: tuple[RetentionRuleView, ...]


class RetentionChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Kinds that are not named keep their rule."""

    keep_days: dict[str, int]


class RetentionApplication(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is dropped unless `dry_run` is false."""

    dry_run: bool = True


class AppliedDayView(Struct, frozen=True):
    """A day (UTC) of a kind that is over. `outcome` is `due` before it is dropped; `needed` where a live run was born
    on it; `busy` where others were at work, and it is tried again.
    """

    kind: str
    day: date
    bytes: int
    rows_estimate: int | None
    outcome: str


class AppliedRetentionView(Struct, frozen=True):
    """`deleted` counts what was pruned of the kinds without days."""

    dry_run: bool
    days: tuple[AppliedDayView, ...]
    deleted: dict[str, int]
    is_done: bool


@endpoint("GET", "/retention", READ, answers=(RetentionView,))
async def get_retention(call: Call[Nothing, Nothing]) -> Answer:
    """Read how long each kind of history is kept."""
    return Answer(_view(await call.services.ports.retention.rules()))


@endpoint(
    "PATCH",
    "/retention",
    Access("retention", "change"),
    body=RetentionChange,
    answers=(RetentionView,),
    example={"keep_days": {"events": 60}},
)
async def change_retention(call: Call[RetentionChange, Nothing]) -> Answer:
    """Change how long kinds of history are kept; the leader applies it within the hour."""
    return Answer(_view(await call.services.retention.change(call.actor, call.body.keep_days)))


@endpoint(
    "POST",
    "/retention/apply",
    Access("retention", "apply"),
    body=RetentionApplication,
    body_required=False,
    answers=(AppliedRetentionView,),
    example={"dry_run": True},
)
async def apply_retention(call: Call[RetentionApplication, Nothing]) -> Answer:
    """Say what of history is over; with `dry_run` false, drop it."""
    verbs = call.services.retention
    if call.body.dry_run:
        return Answer(_applied(await verbs.plan()))
    return Answer(_applied(await verbs.apply(call.actor.audit("apply", "retention", ""))))


def _view(rules: RetentionRules) -> RetentionView:
    items = (
        RetentionRuleView(
            rule.kind,
            KINDS[rule.kind].what,
            rule.keep_days,
            KINDS[rule.kind].least_days,
            KEEP_DAYS_MAX,
            KINDS[rule.kind].within,
            rule.changed_at,
            rule.changed_by,
        )
        for rule in rules.rules
        if rule.kind in KINDS
    )
    return RetentionView(rules.now, tuple(items))


def _applied(applied: AppliedRetention) -> AppliedRetentionView:
    days = tuple(AppliedDayView(one.kind, one.day, one.bytes, one.rows_estimate, one.outcome) for one in applied.days)
    return AppliedRetentionView(applied.dry_run, days, applied.deleted, applied.is_done)


ENDPOINTS: tuple[Endpoint, ...] = (get_retention, change_retention, apply_retention)
