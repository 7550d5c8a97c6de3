"""The verbs on tenants and their API tokens. A token's secret is made here, returned once, and stored as its hash only.

Nobody issues a token that may do more than their own.
"""

import hashlib
from datetime import datetime, timedelta

from msgspec import Struct

from rota.core.fairness import WEIGHT_MAX, WEIGHT_MIN
from rota.core.field_rules import NAME_RULE, number_problems, text_problems
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import TenantId, TokenId
from rota.domain.problems import FieldProblem
from rota.domain.tenancy import ROLES, ApiToken, Role, Tenant, is_canonical_tenant_id
from rota.ports.ids import Ids
from rota.ports.schedule_store import ScheduleStore
from rota.ports.tenant_store import TenantStore, TokenStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor

TOKEN_PREFIX = "rota_"  # noqa: S105 - what every token begins with
HINT_CHARACTERS = len(TOKEN_PREFIX) + 6
TOKEN_DAYS_MAX = 3_660
SCHEDULES_TOPIC = "schedules"


def secret_digest(secret: str) -> bytes:
    """What is stored of a token. The secret has 256 random bits, so that a plain hash suffices."""
    return hashlib.sha256(secret.encode()).digest()


class TenantRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant to be created. `name` is for people; without one it is the id."""

    id: str
    name: str = ""


class TenantPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed of a tenant. `weight` is its share of what workers pick up, beside those of the others."""

    weight: int


class TokenRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be issued. Without `expires_at` it lasts until it is revoked."""

    name: str
    role: Role = "viewer"
    expires_at: datetime | None = None


class IssuedToken(Struct, frozen=True):
    """The only time that the secret is seen."""

    token: ApiToken
    secret: str


class TenantVerbs:
    """Stateless; shared by every front door and by the first start of `rota up`."""

    def __init__(
        self, tenants: TenantStore, tokens: TokenStore, schedules: ScheduleStore, ids: Ids, wakeups: Wakeups
    ) -> None:
        self._tenants = tenants
        self._tokens = tokens
        self._schedules = schedules
        self._ids = ids
        self._wakeups = wakeups

    async def create_tenant(self, actor: Actor, request: TenantRequest) -> Tenant:
        """Raises INVALID_INPUT, NAME_TAKEN."""
        name = request.name or request.id
        problems = list(text_problems("name", name, NAME_RULE))
        if not is_canonical_tenant_id(request.id) or "/" in request.id:
            remedy = "use 1 to 200 printable characters without '/' and without a space at either end"
            problems = [FieldProblem("id", "is no canonical tenant id", remedy)]
        if problems:
            raise invalid_input(problems)
        tenant = Tenant(TenantId(request.id), name, await self._now(), actor.label)
        return await self._tenants.create(tenant, actor.audit("create", "tenant", tenant.id))

    async def weigh_tenant(self, actor: Actor, tenant_id: TenantId, patch: TenantPatch) -> Tenant:
        """Workers heed it from their next look at a queue on. Raises INVALID_INPUT, NOT_FOUND."""
        problems = list(number_problems("weight", patch.weight, WEIGHT_MIN, WEIGHT_MAX))
        if problems:
            raise invalid_input(problems)
        return await self._tenants.weigh(tenant_id, patch.weight, actor.audit("weigh", "tenant", tenant_id))

    async def revoke_tenant(self, actor: Actor, tenant_id: TenantId) -> Tenant:
        """Its tokens stop working within the authenticator's bound, its schedules at once; nothing is deleted."""
        if tenant_id == actor.tenant_id:
            detail = "this is the tenant that the request acts for; act for another to revoke it"
            raise DomainError("STATE_CONFLICT", detail)
        tenant = await self._tenants.revoke(tenant_id, actor.audit("revoke", "tenant", tenant_id))
        self._wakeups.announce(SCHEDULES_TOPIC)
        return tenant

    async def issue_token(self, actor: Actor, request: TokenRequest) -> IssuedToken:
        """Raises INVALID_INPUT, and ROLE_FORBIDDEN for a role above the caller's own."""
        now = await self._now()
        problems = [*text_problems("name", request.name, NAME_RULE), *_expiry_problems(request.expires_at, now)]
        if problems:
            raise invalid_input(problems)
        if ROLES.index(request.role) > ROLES.index(actor.role):
            problem = FieldProblem("role", "is above the caller's own", f"use {actor.role} or a role below it")
            raise DomainError("ROLE_FORBIDDEN", f"a {actor.role} cannot issue a {request.role} token", [problem])
        secret = TOKEN_PREFIX + self._ids.new_secret()
        token = ApiToken(
            id=TokenId(self._ids.new_id()),
            tenant_id=actor.tenant_id,
            name=request.name,
            role=request.role,
            hint=secret[:HINT_CHARACTERS],
            created_at=now,
            created_by=actor.label,
            expires_at=request.expires_at,
        )
        stored = await self._tokens.create(token, secret_digest(secret), actor.audit("create", "token", token.id))
        return IssuedToken(stored, secret)

    async def revoke_token(self, actor: Actor, token_id: TokenId) -> ApiToken:
        return await self._tokens.revoke(actor.tenant_id, token_id, actor.audit("revoke", "token", token_id))

    async def _now(self) -> datetime:
        return datetime.fromisoformat(await self._schedules.clock())


def _expiry_problems(expires_at: datetime | None, now: datetime) -> list[FieldProblem]:
    if expires_at is None:
        return []
    if expires_at.utcoffset() is None:
        return [FieldProblem("expires_at", "has no UTC offset, so it names no instant", "end it with 'Z' or an offset")]
    if now < expires_at <= now + timedelta(days=TOKEN_DAYS_MAX):
        return []
    remedy = f"send a time within the next {TOKEN_DAYS_MAX} days, or leave it out"
    return [FieldProblem("expires_at", "is past, or too far away", remedy)]
