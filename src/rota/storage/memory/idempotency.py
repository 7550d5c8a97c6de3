"""Idempotency keys in memory: the oracle of `rota.storage.postgres.idempotency`."""

from collections.abc import Sequence

from rota.domain.ids import TenantId
from rota.ports.idempotency_store import KeyUse


class MemoryIdempotencyStore:
    """See `rota.ports.idempotency_store.IdempotencyStore`."""

    def __init__(self) -> None:
        self._first_uses: dict[tuple[TenantId, str, str], KeyUse] = {}

    async def reserve_many(self, tenant_id: TenantId, scope: str, uses: Sequence[KeyUse]) -> tuple[KeyUse, ...]:
        return tuple(self._first_uses.setdefault((tenant_id, scope, use.key), use) for use in uses)
