"""Milestones of a tenant: the tick, how far they are, and what operators may do about them."""

from typing import Annotated

from msgspec import Meta, Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.ids import TenantId
from rota.domain.milestone import DoneMarker, Milestone, MilestoneState
from rota.ports.milestone_store import MilestoneFilter
from rota.services.milestone_ticks import WAIT_SECONDS_MAX, Tick

READ = Access("milestones", "read")
EXAMPLE = {"subject": "site-1"}
ACCEPTED = frozenset({"failed", "in_progress"})

SubjectText = Annotated[str, Meta(max_length=500)]


class TickBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose milestones to look at. The tenant must be named, though the token has one: there is no fall-back."""

    tenant_id: TenantId
    subject: str
    wait_seconds: float = WAIT_SECONDS_MAX


class SubjectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Of which subject."""

    subject: SubjectText


class MilestoneQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All given conditions must hold; ordered by subject, then name."""

    subject: SubjectText | None = None
    name: Annotated[str, Meta(max_length=200)] | None = None
    state: MilestoneState | None = None

    def filter(self) -> MilestoneFilter:
        return MilestoneFilter(self.subject, self.name, self.state)


@endpoint(
    "POST",
    "/milestones/evaluate",
    Access("milestones", "evaluate"),
    body=TickBody,
    names_tenant=True,
    answers=(Tick,),
    other_status=202,
    errors=("TENANT_CONTEXT_UNAVAILABLE",),
    example={"tenant_id": "acme", **EXAMPLE},
)
async def evaluate_milestones(call: Call[TickBody, Nothing]) -> Answer:
    """Try what is due of a subject, and wait for it. 202 where an attempt failed, or is still under way."""
    ticks = call.services.milestone_ticks
    tick = await ticks.evaluate(call.actor, call.body.subject, call.body.wait_seconds)
    return Answer(tick, 202 if tick.reason in ACCEPTED else 200)


@endpoint("GET", "/milestones", READ, query=MilestoneQuery, answers=(PageBody[Milestone],))
async def list_milestones(call: Call[Nothing, MilestoneQuery]) -> Answer:
    """How far each milestone is with each subject: attempts, back-off, last error."""
    page = await call.services.ports.milestones.page(call.tenant_id, call.query.filter(), call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("GET", "/milestones/{milestone}/marker/{subject}", READ, answers=(DoneMarker,))
async def get_milestone_marker(call: Call[Nothing, Nothing]) -> Answer:
    """The done marker, with the result that was made. 404 where it is not done."""
    store = call.services.ports.milestones
    return Answer(await store.marker(call.tenant_id, call.path["milestone"], call.path["subject"]))


@endpoint(
    "DELETE",
    "/milestones/{milestone}/marker/{subject}",
    Access("milestones", "clear"),
    answers=(Milestone,),
    errors=("STATE_CONFLICT",),
)
async def clear_milestone_marker(call: Call[Nothing, Nothing]) -> Answer:
    """Take the done marker away: it will be made again."""
    verbs = call.services.milestones
    return Answer(await verbs.clear_marker(call.actor, call.path["milestone"], call.path["subject"]))


@endpoint(
    "POST",
    "/milestones/{milestone}/reset",
    Access("milestones", "reset"),
    body=SubjectBody,
    answers=(Milestone,),
    errors=("STATE_CONFLICT",),
    example=EXAMPLE,
)
async def reset_milestone(call: Call[SubjectBody, Nothing]) -> Answer:
    """Take attempts and back-off back, as if it had never been tried; one that was given up is wanted again."""
    return Answer(await call.services.milestones.reset(call.actor, call.path["milestone"], call.body.subject))


@endpoint(
    "POST",
    "/milestones/{milestone}/retry",
    Access("milestones", "retry"),
    body=SubjectBody,
    answers=(Milestone,),
    status=202,
    errors=("STATE_CONFLICT",),
    example=EXAMPLE,
)
async def retry_milestone(call: Call[SubjectBody, Nothing]) -> Answer:
    """Begin an attempt now, whatever the back-off. One that is under way is the answer."""
    return Answer(await call.services.milestones.retry(call.actor, call.path["milestone"], call.body.subject), 202)


ENDPOINTS: tuple[Endpoint, ...] = (
    evaluate_milestones,
    list_milestones,
    get_milestone_marker,
    clear_milestone_marker,
    reset_milestone,
    retry_milestone,
)
