"""Signing secrets of a tenant. The secret is in the answer that makes it and nowhere else."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.ids import SigningSecretId, TenantId
from rota.domain.signing import SigningSecret
from rota.services.signing_verbs import SigningSecretRequest

EXAMPLE = {"name": "billing"}


class IssuedSigningSecretView(Struct, frozen=True):
    """A signing secret with its `secret`, which is shown this once."""

    id: SigningSecretId
    tenant_id: TenantId
    name: str
    created_at: datetime
    created_by: str
    retired_at: datetime | None
    secret: str


@endpoint(
    "POST",
    "/signing-secrets",
    Access("signing_secrets", "create"),
    body=SigningSecretRequest,
    answers=(IssuedSigningSecretView,),
    status=201,
    tells_secret=True,
    errors=("STATE_CONFLICT", "QUOTA_EXCEEDED"),
    example=EXAMPLE,
)
async def create_signing_secret(call: Call[SigningSecretRequest, Nothing]) -> Answer:
    """Make a secret that requests are signed with; two of a name may be live, so that receivers can change over."""
    issued = await call.services.signing_secrets.create(call.actor, call.body)
    return Answer(IssuedSigningSecretView(**asdict(issued.record), secret=issued.secret), 201)


@endpoint(
    "GET",
    "/signing-secrets",
    Access("signing_secrets", "read"),
    query=PageQuery,
    answers=(PageBody[SigningSecret],),
)
async def list_signing_secrets(call: Call[Nothing, PageQuery]) -> Answer:
    """List signing secrets without what they are."""
    page = await call.services.ports.signing_secrets.page(call.tenant_id, call.query.request())
    return Answer(page_body(page.items, page))


@endpoint(
    "POST",
    "/signing-secrets/{secret_id}/retire",
    Access("signing_secrets", "retire"),
    answers=(SigningSecret,),
)
async def retire_signing_secret(call: Call[Nothing, Nothing]) -> Answer:
    """Stop signing with a secret; what is claimed from now on goes without it."""
    return Answer(await call.services.signing_secrets.retire(call.actor, SigningSecretId(call.path["secret_id"])))


ENDPOINTS: tuple[Endpoint, ...] = (create_signing_secret, list_signing_secrets, retire_signing_secret)
