"""Cancelling and retrying runs in memory: the oracle of `rota.storage.postgres.run_control`."""

from msgspec import structs

from rota.core.run_identity import replay_key
from rota.domain.event import EventDraft
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, Run
from rota.domain.tenancy import AuditEntry
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.run_intake import store_drafts
from rota.storage.memory.run_reading import read_run
from rota.storage.run_refusals import (
    CANCELLED_ON_REQUEST,
    clone_draft,
    refuse_unless_dead,
    refuse_unless_terminal,
    replay_draft,
    run_has_ended,
)


class MemoryRunControl:
    """See `rota.ports.run_store.RunControl`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def cancel_if_live(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Run:
        database, runs = self._database, self._database.runs_state
        run = read_run(database, tenant_id, run_id)
        live = runs.live.get(run_id)
        if live is None:
            raise run_has_ended(run)
        if live.state == "running":
            live.cancel_requested_at = live.cancel_requested_at or database.now()
        else:
            runs.end(run_id, database.now(), "cancelled", reason=CANCELLED_ON_REQUEST)
            facts = {
                "schedule_id": run.schedule_id,
                "attempt_no": live.attempts_count,
                "reason": CANCELLED_ON_REQUEST,
            }
            database.record_events([EventDraft("RunCancelled", tenant_id, run_id, audit.actor, facts)])
        database.record_audit(tenant_id, audit)
        return read_run(database, tenant_id, run_id)

    async def clone_if_terminal(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Run:
        database = self._database
        run = read_run(database, tenant_id, run_id)
        refuse_unless_terminal(run)
        clone = clone_once(database, run, audit)
        if not clone.created:
            (clone,) = store_drafts(database, tenant_id, [clone_draft(run, audit.actor)], None)
            _tell_retried(database, run, clone.run_id, audit)
        return read_run(database, tenant_id, clone.run_id)

    async def replay_if_dead(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Enqueued:
        run = read_run(self._database, tenant_id, run_id)
        known = self._database.runs_state.keys.get(replay_key(tenant_id, run_id))
        refuse_unless_dead(run, was_replayed=known is not None)
        return clone_once(self._database, run, audit) if known is None else Enqueued(known, created=False)


def clone_once(database: MemoryDatabase, run: Run, audit: AuditEntry, *, audited: bool = True) -> Enqueued:
    """As part of a transaction: a clone of the run if it has none yet, else the first one."""
    (clone,) = store_drafts(database, run.tenant_id, [replay_draft(run, audit.actor)], audit if audited else None)
    records = database.runs_state.records
    records[run.id] = structs.replace(records[run.id], dead_lettered=False)
    if clone.created:
        _tell_retried(database, run, clone.run_id, audit)
    return clone


def _tell_retried(database: MemoryDatabase, run: Run, clone_id: RunId, audit: AuditEntry) -> None:
    facts = {"retried_as": clone_id}
    database.record_events([EventDraft("RunRetried", run.tenant_id, run.id, audit.actor, facts)])
