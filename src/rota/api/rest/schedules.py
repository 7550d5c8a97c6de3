"""Schedules: create, read, change by compare-and-swap, pause, resume, trigger, delete and restore, preview."""

from typing import Any

from rota.api.authz import Access
from rota.api.rest.endpoint import BULK_BODY_BYTES_MAX, Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, page_body
from rota.api.rest.runs_wire import RunView, run_view
from rota.api.rest.schedules_wire import (
    SCHEDULE_EXAMPLE,
    BulkDrafts,
    PauseRequest,
    PreviewBody,
    PreviewQuery,
    ResumeRequest,
    ScheduleQuery,
    SchedulesCreated,
    ScheduleView,
    preview_body,
    schedule_view,
)
from rota.api.rest.versions import etag, expected_version
from rota.domain.ids import ScheduleId
from rota.domain.schedule import Schedule, ScheduleDraft
from rota.services.run_verbs import TriggerRequest
from rota.services.schedule_verbs import Resumption

READ = Access("schedules", "read")
CHANGE = Access("schedules", "change")
ONE = "/schedules/{schedule_id}"


def _answer(schedule: Schedule, status: int = 200) -> Answer:
    return Answer(schedule_view(schedule), status, {"ETag": etag(schedule.version)})


def _id(call: Call[Any, Any]) -> ScheduleId:
    return ScheduleId(call.path["schedule_id"])


@endpoint(
    "POST",
    "/schedules",
    Access("schedules", "create"),
    body=ScheduleDraft,
    answers=(ScheduleView,),
    status=201,
    takes_key=True,
    errors=("NAME_TAKEN", "IDEMPOTENCY_MISMATCH", "STATE_CONFLICT"),
    example=SCHEDULE_EXAMPLE,
)
async def create_schedule(call: Call[ScheduleDraft, Nothing]) -> Answer:
    """Create a schedule."""
    made = await call.services.schedules.create(call.actor, call.body, call.idempotency_key)
    answer = _answer(made.schedule, 201 if made.created else 200)
    answer.headers["Location"] = f"/api/v1/schedules/{made.schedule.id}"
    return answer


@endpoint(
    "POST",
    "/schedules/bulk",
    Access("schedules", "create"),
    body=BulkDrafts,
    body_bytes_max=BULK_BODY_BYTES_MAX,
    answers=(SchedulesCreated,),
    status=201,
    errors=("NAME_TAKEN", "STATE_CONFLICT"),
    example=[SCHEDULE_EXAMPLE],
)
async def create_schedules(call: Call[list[ScheduleDraft], Nothing]) -> Answer:
    """Create up to 1,000 schedules, all or none."""
    made = await call.services.schedules.create_many(call.actor, call.body)
    return Answer(SchedulesCreated(tuple(schedule_view(one) for one in made), len(made)), 201)


@endpoint(
    "POST",
    "/schedules/preview",
    READ,
    body=ScheduleDraft,
    query=PreviewQuery,
    answers=(PreviewBody,),
    example=SCHEDULE_EXAMPLE,
)
async def preview_draft(call: Call[ScheduleDraft, PreviewQuery]) -> Answer:
    """Show when a schedule would fire; nothing is stored."""
    found = await call.services.previews.of_draft(call.actor, call.body, call.query.after, call.query.limit)
    return Answer(preview_body(found))


@endpoint("GET", "/schedules", READ, query=ScheduleQuery, answers=(PageBody[ScheduleView],))
async def list_schedules(call: Call[Nothing, ScheduleQuery]) -> Answer:
    """List schedules by name."""
    page = await call.services.ports.schedules.page(call.tenant_id, call.query.filter(), call.query.request())
    return Answer(page_body(tuple(schedule_view(one) for one in page.items), page))


@endpoint("GET", ONE, READ, answers=(ScheduleView,))
async def get_schedule(call: Call[Nothing, Nothing]) -> Answer:
    """Read a schedule, also a deleted one."""
    return _answer(await call.services.ports.schedules.get(call.tenant_id, _id(call)))


@endpoint(
    "PUT",
    ONE,
    CHANGE,
    body=ScheduleDraft,
    answers=(ScheduleView,),
    version="required",
    errors=("NAME_TAKEN", "STATE_CONFLICT"),
    example=SCHEDULE_EXAMPLE,
)
async def replace_schedule(call: Call[ScheduleDraft, Nothing]) -> Answer:
    """Replace a schedule; triggers that stay the same keep their progress."""
    version = expected_version(call.if_match)
    return _answer(await call.services.schedules.replace(call.actor, _id(call), call.body, version))


@endpoint(
    "PATCH",
    ONE,
    CHANGE,
    body=dict[str, Any],
    answers=(ScheduleView,),
    version="required",
    errors=("NAME_TAKEN", "STATE_CONFLICT"),
    example={"policies": {"priority": 5}, "description": None},
)
async def patch_schedule(call: Call[dict[str, Any], Nothing]) -> Answer:
    """Change fields of a schedule by a JSON merge patch; null takes a field back to its default."""
    version = expected_version(call.if_match)
    return _answer(await call.services.schedules.patch(call.actor, _id(call), call.body, version))


@endpoint(
    "DELETE",
    ONE,
    Access("schedules", "delete"),
    answers=(ScheduleView,),
    version="optional",
    errors=("STATE_CONFLICT",),
)
async def delete_schedule(call: Call[Nothing, Nothing]) -> Answer:
    """Delete a schedule softly: it fires no more, frees its name, and can be restored."""
    version = expected_version(call.if_match)
    return _answer(await call.services.schedules.delete(call.actor, _id(call), version))


@endpoint(
    "POST",
    f"{ONE}/restore",
    Access("schedules", "restore"),
    answers=(ScheduleView,),
    version="optional",
    errors=("NAME_TAKEN", "STATE_CONFLICT"),
)
async def restore_schedule(call: Call[Nothing, Nothing]) -> Answer:
    """Bring a deleted schedule back, paused."""
    version = expected_version(call.if_match)
    return _answer(await call.services.schedules.restore(call.actor, _id(call), version))


@endpoint(
    "POST",
    f"{ONE}/pause",
    Access("schedules", "pause"),
    body=PauseRequest,
    body_required=False,
    answers=(ScheduleView,),
    version="optional",
    errors=("STATE_CONFLICT",),
    example={"reason": "the warehouse is being moved"},
)
async def pause_schedule(call: Call[PauseRequest, Nothing]) -> Answer:
    """Stop a schedule from firing until it is resumed."""
    version = expected_version(call.if_match)
    return _answer(await call.services.schedules.pause(call.actor, _id(call), call.body.reason, version))


@endpoint(
    "POST",
    f"{ONE}/resume",
    Access("schedules", "resume"),
    body=ResumeRequest,
    body_required=False,
    answers=(ScheduleView,),
    version="optional",
    errors=("STATE_CONFLICT",),
    example={"from": "2026-03-28T00:00:00Z"},
)
async def resume_schedule(call: Call[ResumeRequest, Nothing]) -> Answer:
    """Let a paused schedule fire again, from now or from a given time."""
    version = expected_version(call.if_match)
    how = Resumption(call.body.since, call.body.reset_streak)
    return _answer(await call.services.schedules.resume(call.actor, _id(call), how, version))


@endpoint(
    "POST",
    f"{ONE}/trigger",
    Access("schedules", "trigger"),
    body=TriggerRequest,
    body_required=False,
    answers=(RunView,),
    status=201,
    takes_key=True,
    errors=("STATE_CONFLICT", "IDEMPOTENCY_MISMATCH"),
    example={"args": {"days": 7}, "overlap": "skip"},
)
async def trigger_schedule(call: Call[TriggerRequest, Nothing]) -> Answer:
    """Make a run of a schedule now, beside its own times."""
    enqueued = await call.services.runs.trigger(call.actor, _id(call), call.body, call.idempotency_key)
    run = await call.services.runs.made(call.actor, enqueued)
    return Answer(run_view(run), 201 if enqueued.created else 200, {"Location": f"/api/v1/runs/{run.id}"})


@endpoint("GET", f"{ONE}/preview", READ, query=PreviewQuery, answers=(PreviewBody,))
async def preview_schedule(call: Call[Nothing, PreviewQuery]) -> Answer:
    """Show when a schedule fires next, as if it were not paused, and what does not fire and why."""
    found = await call.services.previews.of_stored(call.actor, _id(call), call.query.after, call.query.limit)
    return Answer(preview_body(found))


ENDPOINTS: tuple[Endpoint, ...] = (
    create_schedule,
    create_schedules,
    preview_draft,
    list_schedules,
    get_schedule,
    replace_schedule,
    patch_schedule,
    delete_schedule,
    restore_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
    preview_schedule,
)
