"""The ends of followed runs in PostgreSQL. They are written by a trigger of `live_runs` (migration 0015)."""

from collections.abc import Collection, Iterable

from rota.domain.ids import RunId, TenantId
from rota.ports.run_ends import RunEnd
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_FOLLOW_IF_LIVE = query("live_runs/follow_if_live")
_LIST_OF_FOLLOWER = query("run_ends/list_of_follower")
_FORGET = query("run_ends/forget_ends")


class PostgresRunEnds:
    """See `rota.ports.run_ends.RunEnds`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def list_of(self, follower: str, limit: int) -> tuple[RunEnd, ...]:
        rows = await self._statements.fetch("listing ended runs", _LIST_OF_FOLLOWER, follower, limit)
        return tuple(
            RunEnd(row["id"], row["tenant_id"], RunId(row["run_id"]), row["state"], row["ended_at"]) for row in rows
        )

    async def forget(self, follower: str, end_ids: Collection[int]) -> None:
        await self._statements.fetch("forgetting ended runs", _FORGET, follower, list(end_ids))


async def follow_if_live(
    connection: Connection, tenant_id: TenantId, run_ids: Iterable[RunId], follower: str
) -> frozenset[RunId]:
    """Inside a transaction of the tenant: the runs of which `follower` will be told. The others have ended."""
    rows = await connection.fetch(_FOLLOW_IF_LIVE, tenant_id, list(run_ids), follower)
    return frozenset(RunId(row["run_id"]) for row in rows)
