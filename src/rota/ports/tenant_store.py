"""Tenants, API tokens and the events log."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from rota.domain.event import Event, EventDraft
from rota.domain.ids import TenantId, TokenId
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import ApiToken, AuditEntry, Principal, Tenant


class TenantStore(Protocol):
    """The platform's own verbs; only a platform_admin reaches them."""

    async def create(self, tenant: Tenant, audit: AuditEntry) -> Tenant:
        """Raises NAME_TAKEN where the id exists, also revoked."""
        ...

    async def get(self, tenant_id: TenantId) -> Tenant: ...

    async def page(self, page: PageRequest) -> Page[Tenant]: ...

    async def revoke(self, tenant_id: TenantId, audit: AuditEntry) -> Tenant:
        """Closes the tenant: its tokens stop working and its schedules stop firing; nothing is deleted."""
        ...

    async def weigh(self, tenant_id: TenantId, weight: int, audit: AuditEntry) -> Tenant:
        """Sets its share of what workers pick up. The same weight again changes and records nothing."""
        ...


class TokenStore(Protocol):
    """API tokens of a tenant; `authenticate` alone looks across tenants, by hash."""

    async def create(self, token: ApiToken, secret_hash: bytes, audit: AuditEntry) -> ApiToken: ...

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[ApiToken]: ...

    async def revoke(self, tenant_id: TenantId, token_id: TokenId, audit: AuditEntry) -> ApiToken: ...

    async def authenticate(self, secret_hash: bytes) -> Principal | None:
        """None for an unknown, expired or revoked token, or one of a revoked tenant."""
        ...


class EventFilter(Struct, frozen=True):
    """`tenant_id` None asks for the platform's own and all tenants' events: only a platform_admin may."""

    tenant_id: TenantId | None
    types: tuple[str, ...] = ()
    subject: str | None = None
    since: datetime | None = None


class EventStore(Protocol):
    """The append-only log. Readers page by a cursor that never skips a late commit (design §4)."""

    async def append(self, events: tuple[EventDraft, ...]) -> None: ...

    async def after(self, where: EventFilter, cursor: str | None, limit: int) -> tuple[Event, ...]:
        """Oldest first, behind `cursor` (None: from the beginning of what is retained)."""
        ...

    async def page(self, where: EventFilter, page: PageRequest) -> Page[Event]:
        """Newest first."""
        ...
