"""Workers and their leases in PostgreSQL. One statement renews all that a worker holds and says what it must know."""

from collections.abc import Sequence

from rota.domain.errors import Stale
from rota.domain.ids import WorkerId
from rota.domain.worker import Renewal, Worker, WorkerSpec
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.look_floors import DueLook
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_REGISTER_WORKER = query("workers/register_worker")
_RENEW_IF_LIVE = query("workers/renew_if_live")
_DRAIN_IF_ACTIVE = query("workers/drain_if_active")
_STOP_IF_LIVE = query("workers/stop_if_live")
_MARK_LOST = query("workers/mark_lost")
_CLEAR_DEPARTED = query("workers/clear_departed")
_LIST_RECENT = query("workers/list_recent")


class PostgresWorkerStore:
    """See `rota.ports.worker_store.WorkerStore`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)
        self._due_looks: dict[tuple[str, ...], DueLook] = {}

    async def register(self, spec: WorkerSpec, lease_seconds: float) -> None:
        """Repeating it is harmless while the worker is live. Raises `Stale` for the id of a worker that has ended."""
        row = await self._statements.fetch_one(
            "registering a worker",
            _REGISTER_WORKER,
            spec.id,
            spec.name,
            list(spec.queues),
            spec.slots,
            list(spec.tasks),
            spec.hostname,
            spec.pid,
            spec.version,
            lease_seconds,
        )
        if row is None:
            raise Stale(f"worker {spec.id} has ended; register under a new id")

    async def renew_if_live(self, worker_id: WorkerId, queues: Sequence[str], lease_seconds: float) -> Renewal | None:
        due_look = self._due_looks.setdefault(tuple(queues), DueLook())
        row = await self._statements.fetch_one(
            "renewing a worker's lease",
            _RENEW_IF_LIVE,
            worker_id,
            list(queues),
            lease_seconds,
            due_look.full_again_at,
        )
        if row is None:
            return None
        due_at = due_look.note(row["now"], row["due_at"], row["entries_count"], is_full=row["is_full"])
        wait = None if due_at is None else (due_at - row["now"]).total_seconds()
        return Renewal(
            lease_seconds=lease_seconds,
            cancel_run_ids=tuple(row["cancel_run_ids"]),
            work_is_due=wait is not None and wait <= 0,
            next_due_in_seconds=None if wait is None else max(0.0, wait),
        )

    async def drain(self, worker_id: WorkerId) -> None:
        await self._statements.fetch("draining a worker", _DRAIN_IF_ACTIVE, worker_id)

    async def stop(self, worker_id: WorkerId) -> None:
        await self._statements.fetch("stopping a worker", _STOP_IF_LIVE, worker_id)

    async def mark_lost(self, limit: int) -> tuple[WorkerId, ...]:
        rows = await self._statements.fetch("declaring workers lost", _MARK_LOST, limit)
        return tuple(WorkerId(row["id"]) for row in rows)

    async def clear_departed(self, limit: int) -> int:
        row = await self._statements.fetch_one("clearing workers that have left", _CLEAR_DEPARTED, limit)
        return 0 if row is None else row["cleared_count"]

    async def list_recent(self, limit: int) -> tuple[Worker, ...]:
        rows = await self._statements.fetch("listing workers", _LIST_RECENT, limit)
        return tuple(_worker(row) for row in rows)


def _worker(row: Row) -> Worker:
    return Worker(
        id=WorkerId(row["id"]),
        name=row["name"],
        state=row["state"],
        queues=tuple(row["queues"]),
        slots=row["slots"],
        tasks=tuple(row["tasks"]),
        hostname=row["hostname"],
        pid=row["pid"],
        version=row["version"],
        started_at=row["started_at"],
        heartbeat_at=row["heartbeat_at"],
        lease_expires_at=row["lease_expires_at"],
        running_count=row["running_count"],
    )
