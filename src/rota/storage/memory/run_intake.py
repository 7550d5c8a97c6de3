"""New runs in memory: the oracle of `rota.storage.postgres.run_intake`."""

from collections.abc import Sequence
from datetime import datetime

from rota.core.uniqueness import Holder, keys_held_forever, plan_unique, without_uniqueness
from rota.domain.errors import Bug, DomainError
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, RunDraft
from rota.domain.tenancy import AuditEntry
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.dependencies import store_dependencies
from rota.storage.memory.run_tables import RunTables


class MemoryRunIntake:
    """See `rota.ports.run_store.RunIntake`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def enqueue(self, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry) -> tuple[Enqueued, ...]:
        if not drafts:
            return ()
        return _store_unique(self._database, tenant_id, drafts, audit)


def _store_unique(
    database: MemoryDatabase, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry
) -> tuple[Enqueued, ...]:
    runs, now = database.runs_state, database.now()
    holders = {key: _holder(runs, run_id, taken_at) for key, (run_id, taken_at) in runs.unique_keys.items()}
    plan = plan_unique(without_uniqueness(drafts, runs.keys), holders, now)
    kept = [drafts[place] for place in plan.kept]
    made = store_drafts(database, tenant_id, kept, audit) if kept else ()
    answers = dict(zip(plan.kept, made, strict=True))
    for draft, answer in zip(kept, made, strict=True):
        if draft.unique_key is not None and answer.created:
            runs.unique_keys[draft.unique_key] = (answer.run_id, now)
    runs.forever_keys |= keys_held_forever(drafts)
    answers |= {place: Enqueued(run_id, created=False) for place, run_id in plan.existing.items()}
    answers |= {place: Enqueued(answers[first].run_id, created=False) for place, first in plan.same_as.items()}
    return tuple(answers[place] for place in range(len(drafts)))


def _holder(runs: RunTables, run_id: RunId, taken_at: datetime) -> Holder:
    live = runs.live.get(run_id)
    state = "ended" if live is None else "queued" if live.state == "queued" else "running"
    return Holder(run_id, taken_at, state)


def store_drafts(
    database: MemoryDatabase, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry | None
) -> tuple[Enqueued, ...]:
    """Enqueue as part of a transaction. Raises Bug for a draft of another tenant."""
    if any(draft.tenant_id != tenant_id for draft in drafts):
        raise Bug(f"a draft of another tenant among those of {tenant_id!r}")
    runs, now = database.runs_state, database.now()
    names = sorted(RunId(database.new_id()) for _ in drafts)
    answers = tuple(
        Enqueued(name, created=True)
        if runs.create(name, draft, now)
        else Enqueued(runs.keys[draft.key or ""], created=False)
        for name, draft in zip(names, drafts, strict=True)
    )
    try:
        store_dependencies(database, tenant_id, drafts, answers)
    except DomainError:
        runs.forget(answer.run_id for answer in answers if answer.created)
        raise
    if audit is not None:
        database.record_audit(tenant_id, audit)
    return answers
