"""Backfills: show what the firings of a past window would be, start making them, look at the progress, cancel."""

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.backfill import Backfill, BackfillOverlap, BackfillRequest, BackfillState
from rota.domain.ids import BackfillId, ScheduleId, TenantId
from rota.services.backfill_verbs import BackfillItem

READ = Access("backfills", "read")
ONE = "/backfills/{backfill_id}"
EXAMPLE: dict[str, Any] = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-31T23:59:59Z", "runs_per_minute_max": 30}


class BackfillView(Struct, frozen=True, kw_only=True):
    """`created_count` runs were made; `skipped_count` times had one. Together they grow to `total_count`."""

    id: BackfillId
    tenant_id: TenantId
    schedule_id: ScheduleId
    state: BackfillState
    since: datetime = field(name="from")
    to: datetime
    overlap: BackfillOverlap
    priority: int | None
    runs_per_minute_max: float
    total_count: int
    created_count: int
    skipped_count: int
    done_through: datetime | None
    reason: str | None
    created_at: datetime
    created_by: str
    ended_at: datetime | None


class BackfillAnswer(Struct, frozen=True):
    """What it does, by what has run so far. `items` are the first hundred; `backfill` is null for a dry run."""

    total_count: int
    new_count: int
    skipped_count: int
    items: tuple[BackfillItem, ...]
    backfill: BackfillView | None


def backfill_view(backfill: Backfill) -> BackfillView:
    return BackfillView(
        **{name: getattr(backfill, name) for name in BackfillView.__struct_fields__},
    )


@endpoint(
    "POST",
    "/schedules/{schedule_id}/backfill",
    Access("schedules", "backfill"),
    body=BackfillRequest,
    answers=(BackfillAnswer,),
    status=201,
    takes_key=True,
    errors=("STATE_CONFLICT", "IDEMPOTENCY_MISMATCH", "QUOTA_EXCEEDED"),
    example=EXAMPLE,
)
async def start_backfill(call: Call[BackfillRequest, Nothing]) -> Answer:
    """Make the firings of a past window that were not made; with `dry_run` only show them (200)."""
    schedule_id = ScheduleId(call.path["schedule_id"])
    done = await call.services.backfills.start(call.actor, schedule_id, call.body, call.idempotency_key)
    view = None if done.backfill is None else backfill_view(done.backfill)
    plan = done.plan
    body = BackfillAnswer(plan.total_count, plan.new_count, plan.skipped_count, plan.items, view)
    headers = {} if view is None else {"Location": f"/api/v1/backfills/{view.id}"}
    return Answer(body, 201 if done.created else 200, headers)


@endpoint("GET", "/backfills", READ, query=PageQuery, answers=(PageBody[BackfillView],))
async def list_backfills(call: Call[Nothing, PageQuery]) -> Answer:
    """List backfills, the newest first."""
    page = await call.services.ports.backfills.page(call.tenant_id, call.query.request())
    return Answer(page_body(tuple(backfill_view(one) for one in page.items), page))


@endpoint("GET", ONE, READ, answers=(BackfillView,))
async def get_backfill(call: Call[Nothing, Nothing]) -> Answer:
    """Read a backfill and how far it is."""
    found = await call.services.ports.backfills.get(call.tenant_id, BackfillId(call.path["backfill_id"]))
    return Answer(backfill_view(found))


@endpoint("POST", f"{ONE}/cancel", Access("backfills", "cancel"), answers=(BackfillView,), errors=("STATE_CONFLICT",))
async def cancel_backfill(call: Call[Nothing, Nothing]) -> Answer:
    """Make no more runs; those that it has made stay."""
    cancelled = await call.services.backfills.cancel(call.actor, BackfillId(call.path["backfill_id"]))
    return Answer(backfill_view(cancelled))


ENDPOINTS: tuple[Endpoint, ...] = (start_backfill, list_backfills, get_backfill, cancel_backfill)
