"""The first tenant and the first token: what a fresh database needs before anybody can call."""

from rota.client.context import ApiContext
from rota.domain.errors import DomainError
from rota.domain.ids import TenantId, TokenId
from rota.ports.tenant_store import TenantStore, TokenStore
from rota.services.acting import Actor
from rota.services.tenant_verbs import TenantRequest, TenantVerbs, TokenRequest, secret_digest

DEFAULT_TENANT = TenantId("default")


def bootstrap_actor(name: str) -> Actor:
    return Actor(DEFAULT_TENANT, name, TokenId("start-up"), "platform_admin")


async def ensure_default_tenant(verbs: TenantVerbs, tenants: TenantStore, actor_name: str) -> None:
    """Creates it where it is missing; two processes may do so at once."""
    try:
        await tenants.get(DEFAULT_TENANT)
    except DomainError as missing:
        if missing.code != "NOT_FOUND":
            raise
        try:
            await verbs.create_tenant(bootstrap_actor(actor_name), TenantRequest(DEFAULT_TENANT, "Default"))
        except DomainError as taken:
            if taken.code != "NAME_TAKEN":
                raise


async def platform_token(verbs: TenantVerbs, actor_name: str) -> str:
    """A new platform_admin token of the default tenant."""
    issued = await verbs.issue_token(bootstrap_actor(actor_name), TokenRequest(actor_name, "platform_admin"))
    return issued.secret


async def is_accepted(tokens: TokenStore, context: ApiContext | None) -> bool:
    """Whether the token of an earlier start still opens this database."""
    return context is not None and await tokens.authenticate(secret_digest(context.token)) is not None
