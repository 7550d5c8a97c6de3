"""The ends of followed runs in memory: the oracle of `rota.storage.postgres.run_ends`."""

from collections.abc import Collection, Iterable

from rota.domain.ids import RunId, TenantId
from rota.ports.run_ends import RunEnd
from rota.storage.memory.database import MemoryDatabase


class MemoryRunEnds:
    """See `rota.ports.run_ends.RunEnds`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._runs = database.runs_state

    async def list_of(self, follower: str, limit: int) -> tuple[RunEnd, ...]:
        return tuple(end for name, end in self._runs.ends if name == follower)[:limit]

    async def forget(self, follower: str, end_ids: Collection[int]) -> None:
        self._runs.ends = [(name, end) for name, end in self._runs.ends if name != follower or end.id not in end_ids]


def follow_if_live(
    database: MemoryDatabase, tenant_id: TenantId, run_ids: Iterable[RunId], follower: str
) -> frozenset[RunId]:
    """As part of a transaction: those of the runs that `follower` will be told of."""
    runs = database.runs_state
    found = [live for run_id in run_ids if (live := runs.live.get(run_id)) and live.tenant_id == tenant_id]
    for live in found:
        live.followers = (*live.followers, *({follower} - {*live.followers}))
    return frozenset(live.run_id for live in found)
