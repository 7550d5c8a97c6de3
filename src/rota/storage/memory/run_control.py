"""Cancelling and retrying runs in memory: the oracle of `rota.storage.postgres.run_control`."""

from rota.domain.event import EventDraft
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Run
from rota.domain.tenancy import AuditEntry
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.run_intake import store_drafts
from rota.storage.memory.run_reading import read_run
from rota.storage.run_refusals import CANCELLED_ON_REQUEST, clone_draft, refuse_unless_terminal, run_has_ended


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
        (clone,) = store_drafts(database, tenant_id, [clone_draft(run, audit.actor)], audit)
        facts = {"retried_as": clone.run_id}
        database.record_events([EventDraft("RunRetried", tenant_id, run_id, audit.actor, facts)])
        return read_run(database, tenant_id, clone.run_id)
