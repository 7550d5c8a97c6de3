"""Workers in memory: the oracle of `rota.storage.postgres.workers`."""

from collections.abc import Sequence
from datetime import timedelta

from rota.domain.errors import Stale
from rota.domain.event import EventDraft
from rota.domain.ids import WorkerId
from rota.domain.worker import Renewal, Worker, WorkerSpec
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.run_tables import NEVER, StoredWorker


class MemoryWorkerStore:
    """See `rota.ports.worker_store.WorkerStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._runs = database.runs_state

    async def register(self, spec: WorkerSpec, lease_seconds: float) -> None:
        """Repeating it is harmless while the worker is live. Raises `Stale` for the id of a worker that has ended."""
        now, known = self._database.now(), self._runs.workers.get(spec.id)
        expires_at = now + timedelta(seconds=lease_seconds)
        if known is None:
            self._runs.workers[spec.id] = StoredWorker(spec, "active", now, now, expires_at)
            self._tell("WorkerRegistered", spec, {})
        elif known.state == "active" and known.lease_expires_at > now:
            known.heartbeat_at, known.lease_expires_at = now, expires_at
        else:
            raise Stale(f"worker {spec.id} has ended; register under a new id")

    async def renew_if_live(self, worker_id: WorkerId, queues: Sequence[str], lease_seconds: float) -> Renewal | None:
        now, worker = self._database.now(), self._runs.workers.get(worker_id)
        if worker is None or worker.has_left or worker.lease_expires_at <= now:
            return None
        worker.heartbeat_at, worker.lease_expires_at = now, now + timedelta(seconds=lease_seconds)
        cancelled = sorted(
            live.run_id
            for live in self._runs.held()
            if live.worker_id == worker_id and live.cancel_requested_at is not None
        )
        turns = self._runs.taken_turns()
        waiting = (
            live.due_at
            for live in self._runs.live.values()
            if live.state == "queued" and live.queue in queues and live.due_at != NEVER
            if not (live.is_serial and live.due_at <= now and live.schedule_id in turns)
        )
        next_due_at = min(waiting, default=None)
        wait = None if next_due_at is None else (next_due_at - now).total_seconds()
        return Renewal(
            lease_seconds,
            tuple(cancelled),
            wait is not None and wait <= 0,
            None if wait is None else max(0.0, wait),
        )

    async def drain(self, worker_id: WorkerId) -> None:
        worker = self._runs.workers.get(worker_id)
        if worker is not None and worker.state == "active":
            worker.state = "draining"

    async def stop(self, worker_id: WorkerId) -> None:
        now, worker = self._database.now(), self._runs.workers.get(worker_id)
        if worker is None or worker.has_left:
            return
        worker.state, worker.heartbeat_at = "stopped", now
        worker.lease_expires_at = min(worker.lease_expires_at, now)
        self._tell("WorkerStopped", worker.spec, {})

    async def mark_lost(self, limit: int) -> tuple[WorkerId, ...]:
        now = self._database.now()
        suspects = [worker for worker in self._runs.workers.values() if worker.is_suspect(now)]
        lost: list[WorkerId] = []
        for worker in sorted(suspects, key=lambda worker: worker.spec.id)[:limit]:
            if worker.heartbeat_at > now:
                worker.lease_expires_at = now + (worker.lease_expires_at - worker.heartbeat_at)
                worker.heartbeat_at = now
            else:
                worker.state = "lost"
                self._tell("WorkerLost", worker.spec, {"heartbeat_at": worker.heartbeat_at})
                lost.append(worker.spec.id)
        return tuple(lost)

    async def clear_departed(self, limit: int) -> int:
        departed = [worker for worker in self._runs.workers.values() if worker.has_left and not worker.is_cleared]
        holders = {live.worker_id for live in self._runs.held()}
        first = sorted(departed, key=lambda worker: worker.spec.id)[:limit]
        for worker in first:
            worker.is_cleared = worker.spec.id not in holders
        return sum(worker.is_cleared for worker in first)

    async def list_recent(self, limit: int) -> tuple[Worker, ...]:
        found = sorted(self._runs.workers.values(), key=lambda worker: worker.spec.id)
        found.sort(key=lambda worker: worker.heartbeat_at, reverse=True)
        found.sort(key=lambda worker: worker.has_left)
        return tuple(self._shown(worker) for worker in found[:limit])

    def _shown(self, worker: StoredWorker) -> Worker:
        spec = worker.spec
        return Worker(
            id=spec.id,
            name=spec.name,
            state=worker.state,
            queues=spec.queues,
            slots=spec.slots,
            tasks=spec.tasks,
            hostname=spec.hostname,
            pid=spec.pid,
            version=spec.version,
            started_at=worker.started_at,
            heartbeat_at=worker.heartbeat_at,
            lease_expires_at=worker.lease_expires_at,
            running_count=sum(live.worker_id == spec.id for live in self._runs.held()),
        )

    def _tell(self, event_type: str, spec: WorkerSpec, facts: dict[str, object]) -> None:
        self._database.record_events([EventDraft(event_type, None, spec.id, "", {"name": spec.name, **facts})])
