"""API tokens of a tenant. The secret is in the answer that issues it and nowhere else."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import ApiToken, Role
from rota.services.tenant_verbs import TokenRequest

EXAMPLE = {"name": "ci", "role": "operator", "expires_at": "2027-01-01T00:00:00Z"}


class IssuedTokenView(Struct, frozen=True):
    """A token with its `secret`, which is shown this once."""

    id: TokenId
    tenant_id: TenantId
    name: str
    role: Role
    hint: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    secret: str


@endpoint(
    "POST",
    "/tokens",
    Access("tokens", "create"),
    body=TokenRequest,
    answers=(IssuedTokenView,),
    status=201,
    tells_secret=True,
    errors=("STATE_CONFLICT",),
    example=EXAMPLE,
)
async def issue_token(call: Call[TokenRequest, Nothing]) -> Answer:
    """Issue a token with a role that is not above the caller's own."""
    issued = await call.services.tenants.issue_token(call.actor, call.body)
    return Answer(IssuedTokenView(**asdict(issued.token), secret=issued.secret), 201)


@endpoint("GET", "/tokens", Access("tokens", "read"), query=PageQuery, answers=(PageBody[ApiToken],))
async def list_tokens(call: Call[Nothing, PageQuery]) -> Answer:
    """List the tenant's tokens; their secrets are not kept."""
    page = await call.services.ports.tokens.page(call.tenant_id, call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("POST", "/tokens/{token_id}/revoke", Access("tokens", "revoke"), answers=(ApiToken,))
async def revoke_token(call: Call[Nothing, Nothing]) -> Answer:
    """Revoke a token; it stops working everywhere within 5 seconds."""
    return Answer(await call.services.tenants.revoke_token(call.actor, TokenId(call.path["token_id"])))


ENDPOINTS: tuple[Endpoint, ...] = (issue_token, list_tokens, revoke_token)
