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
    ping_path: str


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


ENDPOINTS: tuple[Endpoint, ...] = (create_check_in, list_check_ins, get_check_in, delete_check_in)
