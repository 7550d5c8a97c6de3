"""Runs that wait for others, in PostgreSQL: the leader's side under its fence, and a tenant's look at the graph."""

from rota.domain.dependencies import Dependencies, Neighbour
from rota.domain.errors import Stale
from rota.domain.ids import RunId, TenantId
from rota.domain.lease import Fence
from rota.ports.dependency_store import WorkedOff
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_reading import read_run
from rota.storage.postgres.single_statements import SingleStatements

_WORK_OFF_ENDS = query("run_dependencies/work_off_ends")
_LIST_UPSTREAMS = query("run_dependencies/list_upstreams")
_LIST_DEPENDENTS = query("run_dependencies/list_dependents")

DEPENDENTS_SHOWN_MAX = 500


class PostgresDependencyStore:
    """See `rota.ports.dependency_store.DependencyStore`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def work_off(self, fence: Fence, limit: int) -> WorkedOff:
        row = await self._statements.fetch_one(
            "letting waiting runs go", _WORK_OFF_ENDS, fence.lease_name, fence.epoch, fence.holder, limit
        )
        if row is None:
            raise Stale("the leader's fence is gone: nothing was decided")
        return WorkedOff(row["ends_count"], tuple(row["queues"]))


class PostgresDependencyReader:
    """See `rota.ports.dependency_store.DependencyReader`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def of_run(self, tenant_id: TenantId, run_id: RunId) -> Dependencies:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            await read_run(connection, tenant_id, run_id)
            upstreams = await connection.fetch(_LIST_UPSTREAMS, tenant_id, run_id)
            dependents = await connection.fetch(_LIST_DEPENDENTS, tenant_id, run_id, DEPENDENTS_SHOWN_MAX)
        return Dependencies(
            upstreams[0]["rule"] if upstreams else None,
            tuple(Neighbour(RunId(row["run_id"]), row["state"]) for row in upstreams),
            tuple(Neighbour(RunId(row["run_id"]), row["state"]) for row in dependents),
        )
