"""Idempotency keys, through the api login and its tenant's row-level security. Keys are locked in their order, so that
two requests with the same keys never wait for each other.
"""

from collections.abc import Sequence

import asyncpg

from rota.domain.errors import Bug, not_found
from rota.domain.ids import TenantId
from rota.ports.idempotency_store import KeyClaim, KeyUse
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_RESERVE_KEYS = query("idempotency/reserve_keys")
_CLAIM_KEY = query("idempotency/claim_key")
_SETTLE_CLAIM = query("idempotency/settle_claim_if_held")


class PostgresIdempotencyStore:
    """See `rota.ports.idempotency_store.IdempotencyStore`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def reserve_many(self, tenant_id: TenantId, scope: str, uses: Sequence[KeyUse]) -> tuple[KeyUse, ...]:
        keys = [use.key for use in uses]
        fingerprints = [use.fingerprint for use in uses]
        resource_ids = [use.resource_id for use in uses]
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                try:
                    rows = await connection.fetch(_RESERVE_KEYS, tenant_id, scope, keys, fingerprints, resource_ids)
                except asyncpg.ForeignKeyViolationError as error:
                    raise not_found("tenant", tenant_id) from error
        first = {row["key"]: KeyUse(row["key"], row["fingerprint"], row["resource_id"]) for row in rows}
        return tuple(first[key] for key in keys)

    async def claim(self, tenant_id: TenantId, scope: str, use: KeyUse, hold_seconds: float) -> KeyClaim:
        asked = (tenant_id, scope, use.key, use.fingerprint, use.resource_id, hold_seconds)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            try:
                row = await connection.fetchrow(_CLAIM_KEY, *asked)
            except asyncpg.ForeignKeyViolationError as error:
                raise not_found("tenant", tenant_id) from error
        if row is None:
            raise Bug("claiming a key gave no row")
        left_seconds = max(0.0, row["left_seconds"] or 0.0)
        return KeyClaim(row["resource_id"], row["fingerprint"], row["answer"], left_seconds)

    async def settle_if_held(self, tenant_id: TenantId, scope: str, use: KeyUse, answer: bytes | None) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await connection.execute(_SETTLE_CLAIM, tenant_id, scope, use.key, use.resource_id, answer)
