"""What must act when a run has ended is told by the store, in the transaction that ends the run (law 1).

A follower is a duty of the leader; its name is written on each run that it follows (`RunDraft.followers`). However the
run ends, one end per follower is kept until that follower has worked it off.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from rota.domain.ids import RunId, TenantId
from rota.domain.run import RunState


class RunEnd(Struct, frozen=True):
    """`state` is the run's last: succeeded, failed, cancelled, or skipped where it waited for others. `id` is of the
    end, and no order of commits.
    """

    id: int
    tenant_id: TenantId
    run_id: RunId
    state: RunState
    ended_at: datetime


class RunEnds(Protocol):
    """The list of each follower. An effect that must not be repeated deletes its end in its own statement instead."""

    async def list_of(self, follower: str, limit: int) -> tuple[RunEnd, ...]:
        """The first ones, over all tenants."""
        ...

    async def forget(self, follower: str, end_ids: Collection[int]) -> None:
        """Those that are worked off. An unknown one is nothing."""
        ...
