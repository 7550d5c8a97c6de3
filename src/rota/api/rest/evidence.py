"""Evidence of a tenant: dated facts about its subjects, written once."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.milestone import Evidence

READ = Access("evidence", "read")


class EvidenceBody(Struct, frozen=True, forbid_unknown_fields=True):
    """When it happened. It lies in the past."""

    occurred_at: Annotated[datetime, Meta(tz=True)]


class EvidenceQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one kind, or of all; ordered by kind, then subject."""

    kind: Annotated[str, Meta(max_length=200)] | None = None


@endpoint(
    "PUT",
    "/evidence/{kind}/{subject}",
    Access("evidence", "record"),
    body=EvidenceBody,
    answers=(Evidence,),
    other_status=201,
    errors=("EVIDENCE_EXISTS", "STATE_CONFLICT"),
    example={"occurred_at": "2026-03-01T08:30:00Z"},
)
async def record_evidence(call: Call[EvidenceBody, Nothing]) -> Answer:
    """Record a fact. The same again changes nothing; another time is refused. 201 where it is new."""
    kind, subject = call.path["kind"], call.path["subject"]
    recorded, is_new = await call.services.evidence.record(call.actor, kind, subject, call.body.occurred_at)
    return Answer(recorded, 201 if is_new else 200)


@endpoint("GET", "/evidence/{kind}/{subject}", READ, answers=(Evidence,))
async def get_evidence(call: Call[Nothing, Nothing]) -> Answer:
    """Read a fact."""
    return Answer(await call.services.ports.evidence.get(call.tenant_id, call.path["kind"], call.path["subject"]))


@endpoint("GET", "/evidence", READ, query=EvidenceQuery, answers=(PageBody[Evidence],))
async def list_evidence(call: Call[Nothing, EvidenceQuery]) -> Answer:
    """List facts by kind and subject."""
    page = await call.services.ports.evidence.page(call.tenant_id, call.query.kind, call.query.request())
    return Answer(page_body(page.items, page))


ENDPOINTS: tuple[Endpoint, ...] = (record_evidence, get_evidence, list_evidence)
