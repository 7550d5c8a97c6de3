"""Fan-outs: what a run covers, its items and segments, and previews that launch nothing."""

from typing import Any

from msgspec import Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.fan_out import Impact, Segment
from rota.domain.ids import RunId, ScheduleId
from rota.domain.run import RUN_LIFECYCLE
from rota.domain.targets import Target
from rota.services.fan_out_verbs import FanOutPreview, PreviewWish

READ = Access("runs", "read")
ONE = "/runs/{run_id}"


class PreviewRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A target to be resolved, and how long to wait for the answer."""

    target: Target
    queue: str = "default"
    wait_seconds: float = PreviewWish().wait_seconds
    timeout_seconds: float = PreviewWish().timeout_seconds


EXAMPLE = {
    "target": {
        "kind": "task",
        "task": "images.scan",
        "fan_out": {"selector": {"kind": "task", "task": "images.of", "args": {"namespaces": ["shop"]}}},
    }
}


def _id(call: Call[Any, Any]) -> RunId:
    return RunId(call.path["run_id"])


def _answer(preview: FanOutPreview) -> Answer:
    """202 while it is being resolved."""
    ended = preview.run.state in RUN_LIFECYCLE.terminal
    return Answer(preview, 200 if ended else 202, {"Location": f"/api/v1/runs/{preview.run.id}"})


@endpoint("GET", f"{ONE}/impact", READ, answers=(Impact,))
async def get_impact(call: Call[Nothing, Nothing]) -> Answer:
    """Read what a run that fans out covers, and how far it has come."""
    return Answer(await call.services.ports.impacts.get(call.tenant_id, _id(call)))


@endpoint("GET", f"{ONE}/impact/items", READ, query=PageQuery, answers=(PageBody[Any],))
async def list_impact_items(call: Call[Nothing, PageQuery]) -> Answer:
    """List the items that a run covers, sorted."""
    page = await call.services.ports.impacts.page_items(call.tenant_id, _id(call), call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("GET", f"{ONE}/segments", READ, query=PageQuery, answers=(PageBody[Segment],))
async def list_segments(call: Call[Nothing, PageQuery]) -> Answer:
    """List the segments of a run, each with its child run and that one's state."""
    page = await call.services.ports.impacts.page_segments(call.tenant_id, _id(call), call.query.request())
    return Answer(page_body(page.items, page))


@endpoint(
    "POST",
    "/fan-outs/preview",
    Access("runs", "create"),
    body=PreviewRequest,
    answers=(FanOutPreview,),
    status=202,
    takes_key=True,
    errors=("IDEMPOTENCY_MISMATCH", "STATE_CONFLICT"),
    example=EXAMPLE,
)
async def preview_fan_out(call: Call[PreviewRequest, Nothing]) -> Answer:
    """Resolve a target's selector without launching anything: how many items, which, in how many segments."""
    asked = call.body
    wish = PreviewWish(asked.wait_seconds, asked.timeout_seconds)
    verbs = call.services.fan_outs
    return _answer(await verbs.preview(call.actor, asked.target, asked.queue, wish, call.idempotency_key))


@endpoint(
    "POST",
    "/schedules/{schedule_id}/fan-out/preview",
    Access("schedules", "trigger"),
    body=PreviewWish,
    body_required=False,
    answers=(FanOutPreview,),
    status=202,
    takes_key=True,
    errors=("IDEMPOTENCY_MISMATCH", "STATE_CONFLICT"),
    example={"wait_seconds": 10},
)
async def preview_schedule_fan_out(call: Call[PreviewWish, Nothing]) -> Answer:
    """Resolve the selector of a schedule's target without launching anything."""
    schedule_id = ScheduleId(call.path["schedule_id"])
    verbs = call.services.fan_outs
    return _answer(await verbs.preview_schedule(call.actor, schedule_id, call.body, call.idempotency_key))


ENDPOINTS: tuple[Endpoint, ...] = (
    get_impact,
    list_impact_items,
    list_segments,
    preview_fan_out,
    preview_schedule_fan_out,
)
