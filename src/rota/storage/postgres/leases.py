"""Leases in PostgreSQL: lock the row first, then look at the clock (laws 2 to 4). Needs a direct connection."""

from rota.domain.errors import Unavailable
from rota.domain.ids import Epoch
from rota.domain.lease import Lease
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_ACQUIRE_IF_FREE = query("leases/acquire_if_free")
_RENEW_IF_HELD = query("leases/renew_if_held")
_RELEASE_IF_HELD = query("leases/release_if_held")
_READ_LEASE = query("leases/read_lease")

BIRTH_ATTEMPTS_MAX = 3
"""A lease that was created by somebody else meanwhile is looked at once more; it is never removed again."""


class PostgresLeaseStore:
    """See `rota.ports.lease_store.LeaseStore`."""

    def __init__(self, service_pool: Pool) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=False)

    async def acquire_if_free(self, name: str, holder: str, lease_seconds: float) -> Lease:
        for _ in range(BIRTH_ATTEMPTS_MAX):
            row = await self._statements.fetch_one(
                f"acquiring lease {name!r}", _ACQUIRE_IF_FREE, name, holder, lease_seconds
            )
            if row is not None:
                return _lease(name, row)
        raise Unavailable(f"lease {name!r} changed hands while it was being acquired")

    async def renew_if_held(self, name: str, epoch: Epoch, holder: str, lease_seconds: float) -> Lease | None:
        row = await self._statements.fetch_one(
            f"renewing lease {name!r}", _RENEW_IF_HELD, name, epoch, holder, lease_seconds
        )
        return None if row is None else _lease(name, row)

    async def release_if_held(self, name: str, epoch: Epoch, holder: str) -> bool:
        row = await self._statements.fetch_one(f"releasing lease {name!r}", _RELEASE_IF_HELD, name, epoch, holder)
        return row is not None

    async def read(self, name: str) -> Lease | None:
        row = await self._statements.fetch_one(f"reading lease {name!r}", _READ_LEASE, name)
        return None if row is None else _lease(name, row)


def _lease(name: str, row: Row) -> Lease:
    remaining = (row["expires_at"] - row["now"]).total_seconds()
    return Lease(name, Epoch(row["epoch"]), row["holder"], row["acquired_at"], row["expires_at"], remaining)
