"""`rota bootstrap`: the first platform_admin token of a database that `rota server` is to use.

Who holds an administrator's URL of the database may do anything there; this only writes a token as everybody's is
written, with its audit entry, instead of by hand.
"""

import asyncio

import msgspec

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.client.context import ApiContext
from rota.composition.bootstrap import DEFAULT_TENANT, ensure_default_tenant, platform_token
from rota.composition.database import database_urls, server_pools
from rota.composition.options import DatabaseFlags
from rota.composition.server import prepare_schema
from rota.composition.stores import server_stores
from rota.domain.errors import DomainError, invalid_input
from rota.domain.page import PageRequest
from rota.domain.problems import FieldProblem
from rota.ports.tenant_store import TokenStore
from rota.services.tenant_verbs import TenantVerbs
from rota.storage.memory.wakeups import MemoryWakeups

ACTOR_NAME = "rota bootstrap"
TOKENS_PER_PAGE = 500


def make_first_token(flags: DatabaseFlags, url: str, *, another: bool) -> str:
    """The text of a context file; the token in it is nowhere else. Raises STATE_CONFLICT where there is one already."""
    if not url.startswith(("http://", "https://")):
        raise invalid_input([FieldProblem("--url", f"{url!r} is no address", "write it such as http://host:8440")])
    token = asyncio.run(_make(flags, another=another))
    context = ApiContext(url.rstrip("/"), token, DEFAULT_TENANT)
    return msgspec.json.format(msgspec.json.encode(context)).decode()


async def _make(flags: DatabaseFlags, *, another: bool) -> str:
    urls, clock = database_urls(flags), SystemClock()
    await prepare_schema(urls, clock, migrate=True)
    async with server_pools(urls, clock) as pools:
        stores = server_stores(pools)
        verbs = TenantVerbs(stores.tenants, stores.tokens, stores.schedules, SystemIds(), MemoryWakeups())
        await ensure_default_tenant(verbs, stores.tenants, ACTOR_NAME)
        if not another and await _has_platform_token(stores.tokens):
            remedy = "use that token; where it is lost, give --another, and revoke the lost one"
            problem = FieldProblem("--another", "is not given, and there is a platform_admin token already", remedy)
            raise DomainError("STATE_CONFLICT", "this database has its first token", [problem])
        return await platform_token(verbs, ACTOR_NAME)


async def _has_platform_token(tokens: TokenStore) -> bool:
    """Whether the default tenant has one that is not revoked."""
    cursor: str | None = None
    while True:
        page = await tokens.page(DEFAULT_TENANT, PageRequest(limit=TOKENS_PER_PAGE, cursor=cursor))
        if any(token.role == "platform_admin" and token.revoked_at is None for token in page.items):
            return True
        cursor = page.next_cursor
        if cursor is None:
            return False
