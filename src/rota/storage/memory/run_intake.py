"""New runs in memory: the oracle of `rota.storage.postgres.run_intake`."""

from collections.abc import Sequence

from rota.domain.errors import Bug
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, RunDraft
from rota.domain.tenancy import AuditEntry
from rota.storage.memory.database import MemoryDatabase


class MemoryRunIntake:
    """See `rota.ports.run_store.RunIntake`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def enqueue(self, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry) -> tuple[Enqueued, ...]:
        if not drafts:
            return ()
        return store_drafts(self._database, tenant_id, drafts, audit)


def store_drafts(
    database: MemoryDatabase, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry
) -> tuple[Enqueued, ...]:
    """Enqueue as part of a transaction. Raises Bug for a draft of another tenant."""
    if any(draft.tenant_id != tenant_id for draft in drafts):
        raise Bug(f"a draft of another tenant among those of {tenant_id!r}")
    runs, now = database.runs_state, database.now()
    names = sorted(RunId(database.new_id()) for _ in drafts)
    database.record_audit(tenant_id, audit)
    return tuple(
        Enqueued(name, created=True)
        if runs.create(name, draft, now)
        else Enqueued(runs.keys[draft.key or ""], created=False)
        for name, draft in zip(names, drafts, strict=True)
    )
