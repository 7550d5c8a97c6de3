"""Workers and their leases: one row, one renewal for everything that a worker holds."""

from collections.abc import Sequence
from typing import Protocol

from rota.domain.ids import WorkerId
from rota.domain.worker import Renewal, Worker, WorkerSpec


class WorkerStore(Protocol):
    """The store's clock decides when a worker is lost."""

    async def register(self, spec: WorkerSpec, lease_seconds: float) -> None: ...

    async def renew_if_live(self, worker_id: WorkerId, queues: Sequence[str], lease_seconds: float) -> Renewal | None:
        """None where the lease had ended or the worker was declared lost: it must stop its tasks."""
        ...

    async def drain(self, worker_id: WorkerId) -> None: ...

    async def stop(self, worker_id: WorkerId) -> None: ...

    async def mark_lost(self, limit: int) -> tuple[WorkerId, ...]:
        """Declare workers lost whose lease has ended. Their runs are found by `RunClaims.find_lost`."""
        ...

    async def clear_departed(self, limit: int) -> int:
        """Notes of workers that have left and hold nothing that it is so, for ever; the number noted, at most `limit`.

        One for which a claim is under way is left out.
        """
        ...

    async def list_recent(self, limit: int) -> tuple[Worker, ...]:
        """Live ones first, then the latest to leave."""
        ...
