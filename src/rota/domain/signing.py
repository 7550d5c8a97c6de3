"""Signing secrets: what a tenant's receivers know its requests by. A record never holds the secret itself."""

from datetime import datetime

from msgspec import Struct

from rota.domain.ids import SigningSecretId, TenantId

LIVE_PER_NAME_MAX = 2
"""So that a receiver can learn the new secret while the old one is still valid."""

LIVE_PER_TENANT_MAX = 200


class SigningSecret(Struct, frozen=True):
    """Requests of targets that are `signed_with` its name carry a signature by it until it is retired."""

    id: SigningSecretId
    tenant_id: TenantId
    name: str
    created_at: datetime
    created_by: str
    retired_at: datetime | None = None
