"""Limits of queues and tenants, as the platform sets them. Claims heed them (`rota.ports.run_store.RunClaims`)."""

from typing import Protocol

from rota.domain.limit import Limit, LimitKind, LimitState
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry


class LimitStore(Protocol):
    """The platform's own verbs; only a platform_admin reaches them."""

    async def put(self, limit: Limit, audit: AuditEntry) -> Limit:
        """Sets or replaces it, from here on for every claim: what runs already counts, and is not ended.

        `version` and times are the store's. The same limit again changes and records nothing. A new or changed rate
        begins with a full burst.
        """
        ...

    async def remove(self, kind: LimitKind, name: str, audit: AuditEntry) -> Limit:
        """Raises NOT_FOUND."""
        ...

    async def get(self, kind: LimitKind, name: str) -> LimitState:
        """Raises NOT_FOUND."""
        ...

    async def page(self, page: PageRequest) -> Page[LimitState]:
        """By kind and name."""
        ...
