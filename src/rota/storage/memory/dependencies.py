"""Runs that wait for others, in memory: the oracle of `rota.storage.postgres.dependencies` and of its intake."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rota.core.dependencies import decide
from rota.core.run_identity import RUNS_SCOPE, idempotency_key
from rota.domain.dependencies import DEPENDENCY_FOLLOWER, Dependencies, Neighbour, Upstream
from rota.domain.errors import not_found
from rota.domain.event import EventDraft
from rota.domain.ids import RunId, TenantId
from rota.domain.lease import Fence
from rota.domain.run import Enqueued, RunDraft
from rota.ports.dependency_store import WorkedOff
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.leases import require_current
from rota.storage.memory.run_ends import follow_if_live
from rota.storage.memory.run_reading import read_run
from rota.storage.memory.run_tables import NEVER, Waiting

_PAST = {"failed": "failed", "cancelled": "was cancelled", "skipped": "was skipped"}


@dataclass(frozen=True)
class MemoryDependencyStore:
    """See `rota.ports.dependency_store.DependencyStore`."""

    database: MemoryDatabase

    async def work_off(self, fence: Fence, limit: int) -> WorkedOff:
        require_current(self.database, fence)
        runs = self.database.runs_state
        ends = [end for name, end in runs.ends if name == DEPENDENCY_FOLLOWER][:limit]
        taken = {end.id for end in ends}
        runs.ends = [(name, end) for name, end in runs.ends if name != DEPENDENCY_FOLLOWER or end.id not in taken]
        for end in ends:
            for waiting in runs.waiting.values():
                if end.run_id in waiting.upstreams and waiting.upstreams[end.run_id] is None:
                    waiting.upstreams[end.run_id] = end.state
        told = {end.run_id for end in ends}
        touched = [run_id for run_id, waiting in runs.waiting.items() if told & waiting.upstreams.keys()]
        return WorkedOff(len(ends), tuple(sorted(set(_decide_all(self.database, touched)))))


@dataclass(frozen=True)
class MemoryDependencyReader:
    """See `rota.ports.dependency_store.DependencyReader`."""

    database: MemoryDatabase

    async def of_run(self, tenant_id: TenantId, run_id: RunId) -> Dependencies:
        read_run(self.database, tenant_id, run_id)
        runs, now = self.database.runs_state, self.database.now()

        def beside(ids: Iterable[RunId]) -> tuple[Neighbour, ...]:
            return tuple(Neighbour(one, runs.joined(one, now).state) for one in sorted(ids))

        own = runs.waiting.get(run_id)
        dependents = [one for one, waiting in runs.waiting.items() if run_id in waiting.upstreams]
        return Dependencies(own.rule if own else None, beside(own.upstreams if own else ()), beside(dependents))


def store_dependencies(
    database: MemoryDatabase, tenant_id: TenantId, drafts: Sequence[RunDraft], answers: Sequence[Enqueued]
) -> None:
    """As part of a transaction. `upstreams_of` has found them all before."""
    runs = database.runs_state
    found = upstreams_of(database, tenant_id, drafts, [answer.run_id for answer in answers])
    for draft, answer, upstreams in zip(drafts, answers, found, strict=True):
        if answer.created and draft.depends_on:
            live = follow_if_live(database, tenant_id, upstreams, DEPENDENCY_FOLLOWER)
            states = {one: None if one in live else runs.records[one].state for one in upstreams}
            runs.waiting[answer.run_id] = Waiting(draft.when, dict(states))
    _decide_all(database, [answer.run_id for answer in answers if answer.run_id in runs.waiting])


def upstreams_of(
    database: MemoryDatabase, tenant_id: TenantId, drafts: Sequence[RunDraft], run_ids: Sequence[RunId]
) -> list[list[RunId]]:
    """Raises NOT_FOUND for one that is not the tenant's. `run_ids` are those of the drafts, known or to be."""
    runs = database.runs_state
    named = {draft.name: run_id for draft, run_id in zip(drafts, run_ids, strict=True) if draft.name is not None}

    def run_of(upstream: Upstream) -> RunId:
        if upstream.run_id is not None:
            return read_run(database, tenant_id, upstream.run_id).id
        if upstream.key is None:
            return named[upstream.name or ""]
        found = runs.keys.get(idempotency_key(tenant_id, RUNS_SCOPE, upstream.key))
        if found is None:
            raise not_found("run with the idempotency key", upstream.key)
        return found

    return [sorted({run_of(upstream) for upstream in draft.depends_on}) for draft in drafts]


def _decide_all(database: MemoryDatabase, run_ids: Iterable[RunId]) -> list[str]:
    """Releases and skips; the queues of those released."""
    runs, now, queues = database.runs_state, database.now(), list[str]()
    for run_id in run_ids:
        live, waiting = runs.live.get(run_id), runs.waiting[run_id]
        if live is None or live.due_at != NEVER:
            continue
        verdict = decide(waiting.rule, list(waiting.upstreams.values()))
        if verdict == "release":
            live.due_at = max(runs.records[run_id].due_at, now)
            queues.append(live.queue)
        elif verdict == "skip":
            first, state = next((one, state) for one, state in sorted(waiting.upstreams.items()) if state in _PAST)
            reason = f"run {first}, which it waited for, {_PAST[str(state)]}"
            runs.end(run_id, now, "skipped", reason=reason)
            database.record_events([EventDraft("RunSkipped", live.tenant_id, run_id, "", {"reason": reason})])
    return queues
