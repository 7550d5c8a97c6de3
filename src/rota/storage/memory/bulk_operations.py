"""Bulk operations in memory: the oracle of `rota.storage.postgres.bulk_operations`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import structs

from rota.domain.bulk import BulkDraft, BulkId, BulkOperation, BulkVerb
from rota.domain.errors import not_found
from rota.domain.event import EventDraft
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Run, RunState
from rota.domain.tenancy import AuditEntry
from rota.ports.run_store import runs_in
from rota.storage.bulk_walks import CANCELLED_IN_BULK, states_left
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.run_control import clone_once
from rota.storage.memory.run_reading import matching_runs


@dataclass
class _Stored:
    operation: BulkOperation
    states: tuple[RunState, ...]
    there: frozenset[RunId]
    before_id: RunId | None = None


@dataclass
class MemoryBulkStore:
    """See `rota.ports.bulk_store.BulkStore`."""

    database: MemoryDatabase
    _stored: dict[BulkId, _Stored] = field(default_factory=dict[BulkId, _Stored])

    async def begin(self, draft: BulkDraft, audit: AuditEntry) -> BulkOperation:
        if draft.id not in self._stored:
            asked = (draft.verb, draft.filter, draft.expected_count)
            made = BulkOperation(draft.id, draft.tenant_id, *asked, self.database.now(), draft.created_by)
            self._stored[draft.id] = _Stored(made, draft.states, frozenset(self.database.runs_state.records))
            self.database.record_audit(draft.tenant_id, audit)
        return await self.get(draft.tenant_id, draft.id)

    async def get(self, tenant_id: TenantId, bulk_id: BulkId) -> BulkOperation:
        return self._read(tenant_id, bulk_id).operation

    async def step(self, tenant_id: TenantId, bulk_id: BulkId, actor: str, limit: int) -> BulkOperation:
        stored = self._read(tenant_id, bulk_id)
        operation, database = stored.operation, self.database
        if operation.finished_at is not None:
            return operation
        asked = min(limit, operation.expected_count - operation.handled_count)
        runs = self._batch(stored)[: max(asked, 0)]
        audit = AuditEntry(actor, "bulk", "run", bulk_id)
        done = sum(_act(database, operation.verb, run, audit) for run in runs)
        left = states_left(stored.states, len(runs), asked) if asked > 0 else ()
        stored.before_id = runs[-1].id if runs and len(left) == len(stored.states) else None
        stored.states = left
        stored.operation = structs.replace(
            operation,
            done_count=operation.done_count + done,
            skipped_count=operation.skipped_count + len(runs) - done,
            finished_at=None if left else database.now(),
        )
        return stored.operation

    def _batch(self, stored: _Stored) -> Sequence[Run]:
        if not stored.states:
            return ()
        where = runs_in(stored.operation.filter, stored.states[0])
        found = matching_runs(self.database, stored.operation.tenant_id, where)
        before = stored.before_id
        return [run for run in found if run.id in stored.there and (before is None or run.id < before)]

    def _read(self, tenant_id: TenantId, bulk_id: BulkId) -> _Stored:
        stored = self._stored.get(bulk_id)
        if stored is None or stored.operation.tenant_id != tenant_id:
            raise not_found("bulk operation", bulk_id)
        return stored


def _act(database: MemoryDatabase, verb: BulkVerb, run: Run, audit: AuditEntry) -> bool:
    if verb == "retry":
        return clone_once(database, run, audit, audited=False).created
    return _cancel(database, run, audit) if verb == "cancel" else _delete(database, run, audit)


def _delete(database: MemoryDatabase, run: Run, audit: AuditEntry) -> bool:
    """False where somebody is still to act on the run's end. Its keys and what was counted of it stay."""
    tables = database.runs_state
    if run.id in tables.live or any(end.run_id == run.id for _, end in tables.ends):
        return False
    del tables.records[run.id]
    tables.attempts.pop(run.id, None)
    tables.waiting.pop(run.id, None)
    for place in [place for place in tables.log_lines if place[0] == run.id]:
        del tables.log_lines[place]
    database.fan_outs_state.snapshots.pop(run.id, None)
    database.record_events([EventDraft("RunDeleted", run.tenant_id, run.id, audit.actor)])
    return True


def _cancel(database: MemoryDatabase, run: Run, audit: AuditEntry) -> bool:
    live = database.runs_state.live[run.id]
    if live.state == "running":
        live.cancel_requested_at = live.cancel_requested_at or database.now()
        return True
    database.runs_state.end(run.id, database.now(), "cancelled", reason=CANCELLED_IN_BULK)
    facts = {"schedule_id": run.schedule_id, "attempt_no": live.attempts_count, "reason": CANCELLED_IN_BULK}
    database.record_events([EventDraft("RunCancelled", run.tenant_id, run.id, audit.actor, facts)])
    return True
