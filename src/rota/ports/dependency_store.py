"""Runs that wait for others: how the leader lets them go, and how a reader sees the graph."""

from typing import Protocol

from msgspec import Struct

from rota.domain.dependencies import Dependencies
from rota.domain.ids import RunId, TenantId
from rota.domain.lease import Fence


class WorkedOff(Struct, frozen=True):
    """`ends_count` ends of upstreams were worked off; `queues` have runs that were released by them."""

    ends_count: int
    queues: tuple[str, ...] = ()


class DependencyStore(Protocol):
    """The leader's side."""

    async def work_off(self, fence: Fence, limit: int) -> WorkedOff:
        """Up to `limit` ends of upstreams, each taken off together with what becomes of the runs that waited for it.

        Raises `Stale` when the fence is not current: nothing was written then.
        """
        ...


class DependencyReader(Protocol):
    """A tenant's side; never writes (law 10)."""

    async def of_run(self, tenant_id: TenantId, run_id: RunId) -> Dependencies:
        """Up to 500 dependents, oldest first. Raises NOT_FOUND."""
        ...
