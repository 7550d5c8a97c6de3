"""Signing secrets of one tenant, for those who manage them, and their keys, for the workers that sign."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from rota.domain.ids import SigningSecretId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.signing import SigningSecret
from rota.domain.tenancy import AuditEntry

SecretName: TypeAlias = tuple[TenantId, str]
"""Whose, and the name that targets are `signed_with`."""


class SigningSecretStore(Protocol):
    """It takes a key and never gives one back."""

    async def create(self, secret: SigningSecret, key: bytes, audit: AuditEntry) -> SigningSecret:
        """As live, from the store's clock on. Raises STATE_CONFLICT where two of the name are live, and
        QUOTA_EXCEEDED; NOT_FOUND or STATE_CONFLICT where there is no such tenant or it is revoked.
        """
        ...

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[SigningSecret]:
        """The oldest first, retired ones too."""
        ...

    async def retire(self, tenant_id: TenantId, secret_id: SigningSecretId, audit: AuditEntry) -> SigningSecret:
        """Again: no change. Its key is forgotten. Raises NOT_FOUND."""
        ...


class SigningKeys(Protocol):
    """Only for workers: it looks across tenants."""

    async def live_keys(self, names: Sequence[SecretName]) -> dict[SecretName, tuple[bytes, ...]]:
        """The keys of each name, the newest first; a name without a live secret is left out. Raises Unavailable."""
        ...
