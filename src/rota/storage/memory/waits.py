"""Why a run waits, in memory: the oracle of `rota.storage.postgres.waits`."""

from dataclasses import dataclass

from rota.domain.ids import RunId, TenantId
from rota.domain.waiting import LimitFact, WaitFacts
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.limit_tables import StoredLimit
from rota.storage.memory.limits import Rooms
from rota.storage.memory.run_tables import NEVER, LiveRun


@dataclass(frozen=True)
class MemoryWaitReader:
    """See `rota.ports.wait_reader.WaitReader`."""

    database: MemoryDatabase

    async def facts(self, tenant_id: TenantId, run_id: RunId, task: str | None) -> WaitFacts | None:
        live = self.database.runs_state.live.get(run_id)
        if live is None or live.tenant_id != tenant_id or live.state != "queued":
            return None
        runs, now = self.database.runs_state, self.database.now()
        waiting = runs.waiting.get(run_id)
        listeners = [
            worker.spec
            for worker in runs.workers.values()
            if worker.state == "active" and worker.lease_expires_at > now and live.queue in worker.spec.queues
        ]
        return WaitFacts(
            now,
            live.queue,
            None if live.due_at == NEVER else live.due_at,
            live.attempts_count,
            task,
            0 if waiting is None else sum(state is None for state in waiting.upstreams.values()),
            self._turn_of(live),
            tuple(self._limit_fact(stored) for stored in Rooms(self.database).limits_of(live)),
            len(listeners),
            sum(task is None or task in spec.tasks for spec in listeners),
        )

    def _turn_of(self, live: LiveRun) -> RunId | None:
        held = [each for each in self.database.runs_state.held() if each.is_serial and live.is_serial]
        return next((each.run_id for each in held if each.schedule_id == live.schedule_id), None)

    def _limit_fact(self, stored: StoredLimit) -> LimitFact:
        limit, rooms = stored.limit, Rooms(self.database)
        running = rooms.running_count(limit.kind, limit.name)
        counted = running if limit.concurrency_max is None else min(running, limit.concurrency_max)
        return LimitFact(
            limit.kind, limit.name, limit.concurrency_max, limit.rate_per_second, counted, rooms.room(stored)
        )
