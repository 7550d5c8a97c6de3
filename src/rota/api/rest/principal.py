"""Who the caller is: what a command line or a page shows, and the quickest test of a token."""

from msgspec import Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import Role


class PrincipalView(Struct, frozen=True):
    """`tenant_id` is the tenant acted on."""

    token_id: TokenId
    name: str
    tenant_id: TenantId
    role: Role


@endpoint("GET", "/principal", Access("principal", "read"), answers=(PrincipalView,))
async def get_principal(call: Call[Nothing, Nothing]) -> Answer:
    """Tell who the token is."""
    actor = call.actor
    return Answer(PrincipalView(actor.token_id, actor.name, actor.tenant_id, actor.role))


ENDPOINTS: tuple[Endpoint, ...] = (get_principal,)
