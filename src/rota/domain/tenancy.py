"""Tenants, principals, roles and API tokens: who may call. Secrets appear here only as hashes."""

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from rota.domain.ids import TenantId, TokenId

Role: TypeAlias = Literal["viewer", "operator", "admin", "platform_admin"]

# From least to most: each role may do what those before it may.
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin", "platform_admin")


class Tenant(Struct, frozen=True):
    """The unit of isolation. `id` is a canonical non-blank string; `weight` is its share of what workers pick up."""

    id: TenantId
    name: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    weight: int = 1


class ApiToken(Struct, frozen=True):
    """A credential without its secret. `hint` is the token's first characters, to tell tokens apart."""

    id: TokenId
    tenant_id: TenantId
    name: str
    role: Role
    hint: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class Principal(Struct, frozen=True):
    """Who calls, decided from the token alone."""

    token_id: TokenId
    name: str
    tenant_id: TenantId
    role: Role

    def may_act_as(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class AuditEntry(Struct, frozen=True):
    """Who did what to which object: written in the transaction of the change."""

    actor: str
    verb: str
    resource: str
    resource_id: str
    request_id: str = ""


def is_canonical_tenant_id(text: str) -> bool:
    """Non-blank, no surrounding white space, printable, at most 200 characters."""
    return 0 < len(text) <= 200 and text == text.strip() and text.isprintable()
