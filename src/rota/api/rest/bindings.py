"""Bindings: declare, list, reconcile (make the missing), update (the outdated), delete. Reading makes nothing."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.binding import Binding, BindingDraft, BindingKey, BindingState, ParameterValue
from rota.domain.ids import ScheduleId, TenantId
from rota.ports.binding_store import BindingFilter
from rota.services.binding_verbs import Done, Failure, ScheduleFate, Skipped, Walk, WalkRequest

READ = Access("bindings", "read")
CHANGE = Access("bindings", "change")
ONE = "/bindings/{kind}/{subject}"


class BindingView(Struct, frozen=True):
    """A binding. `state` is `missing` while it has no schedule, `outdated` where that was made from an older template
    or from other parameters.
    """

    tenant_id: TenantId
    kind: str
    subject: str
    template: str
    parameters: dict[str, ParameterValue]
    state: BindingState
    schedule_id: ScheduleId | None
    template_version: int
    made_template_version: int | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class BindingQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All given conditions must hold; ordered by kind and subject."""

    kind: Annotated[str, Meta(max_length=64)] | None = None
    subject: Annotated[str, Meta(max_length=200)] | None = None
    template: Annotated[str, Meta(max_length=64)] | None = None
    state: BindingState | None = None


class DeleteBindingQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What becomes of the schedule."""

    schedule: Annotated[ScheduleFate, Meta(description="Whether its schedule stays or is deleted too.")] = "keep"


class Reconciled(Struct, frozen=True):
    """What became of each binding that was looked at; go on with `next_cursor` until it is null.

    With `dry_run` it is what would become of it: that was asked for, or `reason` says why, as `message` does in words.
    """

    created: tuple[Done, ...]
    skipped: tuple[Skipped, ...]
    failures: tuple[Failure, ...]
    dry_run: bool
    reconciled_at: datetime
    next_cursor: str | None
    reason: Literal["flag_off"] | None
    message: str


class BindingsUpdated(Struct, frozen=True):
    """What became of each binding that was looked at; go on with `next_cursor` until it is null.

    With `dry_run` it is what would become of it: that was asked for, or `reason` says why, as `message` does in words.
    """

    updated: tuple[Done, ...]
    skipped: tuple[Skipped, ...]
    failures: tuple[Failure, ...]
    dry_run: bool
    updated_at: datetime
    next_cursor: str | None
    reason: Literal["flag_off"] | None
    message: str


def _view(binding: Binding) -> BindingView:
    own = {"kind": binding.key.kind, "subject": binding.key.subject, "state": binding.state}
    rest = [name for name in BindingView.__struct_fields__ if name not in own]
    known = {name: getattr(binding, name) for name in rest}
    if not binding.has_schedule:
        known |= {"schedule_id": None, "made_template_version": None}
    return BindingView(**own, **known)


def _key(call: Call[Any, Any]) -> BindingKey:
    return BindingKey(call.path["kind"], call.path["subject"])


@endpoint(
    "PUT",
    ONE,
    CHANGE,
    body=BindingDraft,
    answers=(BindingView,),
    errors=("QUOTA_EXCEEDED", "STATE_CONFLICT", "VERSION_MISMATCH"),
    example={"template": "daily-insights", "parameters": {"hour": 4}},
)
async def put_binding(call: Call[BindingDraft, Nothing]) -> Answer:
    """Declare that a subject must have a schedule by a template; reconcile makes it."""
    return Answer(_view(await call.services.bindings.declare(call.actor, _key(call), call.body)))


@endpoint("GET", "/bindings", READ, query=BindingQuery, answers=(PageBody[BindingView],))
async def list_bindings(call: Call[Nothing, BindingQuery]) -> Answer:
    """List bindings by kind and subject."""
    where = BindingFilter(call.query.kind, call.query.subject, call.query.template, call.query.state)
    page = await call.services.ports.bindings.page(call.tenant_id, where, call.query.request())
    return Answer(page_body(tuple(_view(one) for one in page.items), page))


@endpoint("GET", ONE, READ, answers=(BindingView,))
async def get_binding(call: Call[Nothing, Nothing]) -> Answer:
    """Read a binding, and whether its schedule is there and up to date."""
    return Answer(_view(await call.services.ports.bindings.get(call.tenant_id, _key(call))))


@endpoint(
    "POST",
    "/bindings/reconcile",
    Access("bindings", "reconcile"),
    body=WalkRequest,
    body_required=False,
    answers=(Reconciled,),
    errors=("STATE_CONFLICT",),
    example={"kind": "platform", "dry_run": False},
)
async def reconcile_bindings(call: Call[WalkRequest, Nothing]) -> Answer:
    """Make the schedules that are missing; safe to repeat, and to run many times at once."""
    walk = await call.services.bindings.reconcile(call.actor, call.body)
    _count(call, "reconcile", walk)
    return Answer(
        Reconciled(
            walk.done, walk.skipped, walk.failures, walk.dry_run, walk.at, walk.next_cursor, walk.reason, walk.message
        )
    )


@endpoint(
    "POST",
    "/bindings/update",
    CHANGE,
    body=WalkRequest,
    body_required=False,
    answers=(BindingsUpdated,),
    errors=("STATE_CONFLICT",),
    example={"kind": "platform", "subject": "site-1"},
)
async def update_bindings(call: Call[WalkRequest, Nothing]) -> Answer:
    """Make outdated schedules what their templates make now; changes by hand are lost, paused ones stay paused."""
    walk = await call.services.bindings.update(call.actor, call.body)
    _count(call, "update", walk)
    return Answer(
        BindingsUpdated(
            walk.done, walk.skipped, walk.failures, walk.dry_run, walk.at, walk.next_cursor, walk.reason, walk.message
        )
    )


@endpoint(
    "DELETE",
    ONE,
    Access("bindings", "delete"),
    query=DeleteBindingQuery,
    answers=(BindingView,),
    errors=("STATE_CONFLICT",),
)
async def delete_binding(call: Call[Nothing, DeleteBindingQuery]) -> Answer:
    """Delete a binding; its schedule stays unless `schedule=delete` is said."""
    return Answer(_view(await call.services.bindings.delete(call.actor, _key(call), call.query.schedule)))


def _count(call: Call[Any, Any], verb: str, walk: Walk) -> None:
    if walk.reason is not None or not walk.dry_run:
        has_failed = bool(walk.failures) and not walk.dry_run
        outcome = "failures" if has_failed else "held" if walk.reason is not None else "clean"
        call.services.ports.metrics.count("rota_binding_walks_total", verb=verb, outcome=outcome)


ENDPOINTS: tuple[Endpoint, ...] = (
    put_binding,
    list_bindings,
    get_binding,
    reconcile_bindings,
    update_bindings,
    delete_binding,
)
