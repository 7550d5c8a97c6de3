"""Idempotency keys in memory: the oracle of `rota.storage.postgres.idempotency`."""

from collections.abc import Callable, Container, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from rota.domain.errors import not_found
from rota.domain.ids import TenantId
from rota.ports.idempotency_store import KeyClaim, KeyUse


class MemoryIdempotencyStore:
    """See `rota.ports.idempotency_store.IdempotencyStore`."""

    def __init__(self, now: Callable[[], datetime], tenants: Container[TenantId]) -> None:
        self._now = now
        self._tenants = tenants
        self._first_uses: dict[tuple[TenantId, str, str], KeyUse] = {}
        self._claims: dict[tuple[TenantId, str, str], tuple[KeyClaim, datetime | None]] = {}

    async def reserve_many(self, tenant_id: TenantId, scope: str, uses: Sequence[KeyUse]) -> tuple[KeyUse, ...]:
        self._check_tenant(tenant_id)
        return tuple(self._first_uses.setdefault((tenant_id, scope, use.key), use) for use in uses)

    async def claim(self, tenant_id: TenantId, scope: str, use: KeyUse, hold_seconds: float) -> KeyClaim:
        self._check_tenant(tenant_id)
        place, now = (tenant_id, scope, use.key), self._now()
        known, until = self._claims.get(place, (None, None))
        if known is None or (until is not None and until <= now):
            known, until = KeyClaim(use.resource_id, use.fingerprint), now + timedelta(seconds=hold_seconds)
            self._claims[place] = known, until
        return known if until is None else replace(known, left_seconds=(until - now).total_seconds())

    async def settle_if_held(self, tenant_id: TenantId, scope: str, use: KeyUse, answer: bytes | None) -> None:
        place = (tenant_id, scope, use.key)
        known, _ = self._claims[place]
        if known.holder == use.resource_id:
            until = self._now() if answer is None else None
            self._claims[place] = KeyClaim(known.holder, known.fingerprint, answer), until

    def _check_tenant(self, tenant_id: TenantId) -> None:
        if tenant_id not in self._tenants:
            raise not_found("tenant", tenant_id)
