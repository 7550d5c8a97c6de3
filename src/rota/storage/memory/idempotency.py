"""Idempotency keys in memory: the oracle of `rota.storage.postgres.idempotency`."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rota.domain.ids import TenantId
from rota.ports.idempotency_store import KeyClaim, KeyUse


class MemoryIdempotencyStore:
    """See `rota.ports.idempotency_store.IdempotencyStore`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._first_uses: dict[tuple[TenantId, str, str], KeyUse] = {}
        self._claims: dict[tuple[TenantId, str, str], tuple[KeyClaim, datetime | None]] = {}

    async def reserve_many(self, tenant_id: TenantId, scope: str, uses: Sequence[KeyUse]) -> tuple[KeyUse, ...]:
        return tuple(self._first_uses.setdefault((tenant_id, scope, use.key), use) for use in uses)

    async def claim(self, tenant_id: TenantId, scope: str, use: KeyUse, hold_seconds: float) -> KeyClaim:
        place, now = (tenant_id, scope, use.key), self._now()
        known, until = self._claims.get(place, (None, None))
        if known is None or (until is not None and until <= now):
            known = KeyClaim(use.resource_id, use.fingerprint)
            self._claims[place] = known, now + timedelta(seconds=hold_seconds)
        return known

    async def settle_if_held(self, tenant_id: TenantId, scope: str, use: KeyUse, answer: bytes | None) -> None:
        place = (tenant_id, scope, use.key)
        known, _ = self._claims[place]
        if known.holder == use.resource_id:
            until = self._now() if answer is None else None
            self._claims[place] = KeyClaim(known.holder, known.fingerprint, answer), until
