"""Why a run waits, in memory: the oracle of `rota.storage.postgres.waits`."""

from dataclasses import dataclass

from rota.domain.ids import RunId, TenantId
from rota.domain.waiting import LimitFact, PlaceFact, WaitFacts
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.limit_tables import StoredLimit
from rota.storage.memory.limits import Rooms
from rota.storage.memory.run_tables import NEVER, LiveRun


@dataclass(frozen=True)
class MemoryWaitReader:
    """See `rota.ports.wait_reader.WaitReader`."""

    database: MemoryDatabase

    async def facts(
        self, tenant_id: TenantId, run_id: RunId, task: str | None, key: str | None = None
    ) -> WaitFacts | None:
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
            self._place_fact(live, key),
            len(listeners),
            sum(task is None or task in spec.tasks for spec in listeners),
        )

    def _place_fact(self, live: LiveRun, key: str | None) -> PlaceFact | None:
        """None, too, where a place is free: here it is taken by the claim itself."""
        runs = self.database.runs_state
        if live.key_max is None or runs.has_place(live, []):
            return None
        return PlaceFact(key, live.key_max, min(live.key_max, runs.places_taken(live.key_id)))

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
