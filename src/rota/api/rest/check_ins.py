"""Check-ins of a tenant. The address to ping is in the answer that makes one and nowhere else."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict

from rota.api.authz import Access
from rota.api.rest.check_in_pings import ping_path
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.check_in import CheckIn, CheckInDraft, CheckInState
from rota.domain.ids import CheckInId, TenantId

READ = Access("check_ins", "read")
EXAMPLE = {"name": "nightly-dump", "cron": "0 2 * * *", "timezone": "Europe/Paris", "grace_seconds": 1800}


class IssuedCheckInView(Struct, frozen=True):
    """A check-in with the path to ping on this server, which is a secret and shown this once."""

    id: CheckInId
    tenant_id: TenantId
    name: str
    cron: str | None
    timezone: str
    every_seconds: float | None
    grace_seconds: float
    state: CheckInState
    created_at: datetime
    created_by: str
    started_at: datetime | None
    succeeded_at: datetime | None
    failed_at: datetime | None
    missed_at: datetime | None
    expected_at: datetime | None
    deadline_at: datetime | None
    paused_at: datetime | None
    old_address_until: datetime | None
    ping_path: str


class RotateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The address that is replaced is good for so long beside the new one."""

    overlap_seconds: float = 0.0


@endpoint(
    "POST",
    "/check-ins",
    Access("check_ins", "create"),
    body=CheckInDraft,
    answers=(IssuedCheckInView,),
    status=201,
    tells_secret=True,
    errors=("NAME_TAKEN", "QUOTA_EXCEEDED", "STATE_CONFLICT"),
    example=EXAMPLE,
)
async def create_check_in(call: Call[CheckInDraft, Nothing]) -> Answer:
    """Make an address that a job elsewhere tells its ends to; silence beyond the grace is an event."""
    issued = await call.services.check_ins.create(call.actor, call.body)
    return Answer(IssuedCheckInView(**asdict(issued.record), ping_path=ping_path(issued.secret)), 201)


@endpoint("GET", "/check-ins", READ, query=PageQuery, answers=(PageBody[CheckIn],))
async def list_check_ins(call: Call[Nothing, PageQuery]) -> Answer:
    """List check-ins by name."""
    page = await call.services.ports.check_ins.page(call.tenant_id, call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("GET", "/check-ins/{check_in_id}", READ, answers=(CheckIn,))
async def get_check_in(call: Call[Nothing, Nothing]) -> Answer:
    """Read a check-in: what was told last, and by when it must tell again."""
    return Answer(await call.services.ports.check_ins.get(call.tenant_id, CheckInId(call.path["check_in_id"])))


@endpoint("DELETE", "/check-ins/{check_in_id}", Access("check_ins", "delete"), answers=(CheckIn,))
async def delete_check_in(call: Call[Nothing, Nothing]) -> Answer:
    """Delete a check-in; its address is dead from now on."""
    return Answer(await call.services.check_ins.delete(call.actor, CheckInId(call.path["check_in_id"])))


@endpoint("POST", "/check-ins/{check_in_id}/pause", Access("check_ins", "pause"), answers=(CheckIn,))
async def pause_check_in(call: Call[Nothing, Nothing]) -> Answer:
    """Wait for nothing until it is resumed; pings are noted, and tell nothing."""
    return Answer(await call.services.check_ins.pause(call.actor, CheckInId(call.path["check_in_id"])))


@endpoint("POST", "/check-ins/{check_in_id}/resume", Access("check_ins", "resume"), answers=(CheckIn,))
async def resume_check_in(call: Call[Nothing, Nothing]) -> Answer:
    """Wait for the next end from now on."""
    return Answer(await call.services.check_ins.resume(call.actor, CheckInId(call.path["check_in_id"])))


@endpoint(
    "POST",
    "/check-ins/{check_in_id}/rotate",
    Access("check_ins", "create"),
    body=RotateRequest,
    body_required=False,
    answers=(IssuedCheckInView,),
    tells_secret=True,
    example={"overlap_seconds": 86400},
)
async def rotate_check_in(call: Call[RotateRequest, Nothing]) -> Answer:
    """Give a check-in another address; the old one is dead at once, or after the overlap."""
    check_in_id = CheckInId(call.path["check_in_id"])
    issued = await call.services.check_ins.rotate(call.actor, check_in_id, call.body.overlap_seconds)
    return Answer(IssuedCheckInView(**asdict(issued.record), ping_path=ping_path(issued.secret)))


ENDPOINTS: tuple[Endpoint, ...] = (
    create_check_in,
    list_check_ins,
    get_check_in,
    pause_check_in,
    resume_check_in,
    rotate_check_in,
    delete_check_in,
)
