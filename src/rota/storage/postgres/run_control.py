"""Cancelling and retrying a tenant's runs, through the api login, each with its event and audit in one transaction."""

from collections.abc import Sequence

from rota.core.run_identity import replay_key
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, Run
from rota.domain.tenancy import AuditEntry
from rota.storage.page_cursor import is_uuid
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_intake import store_drafts
from rota.storage.postgres.run_reading import read_run
from rota.storage.run_refusals import (
    clone_draft,
    refuse_unless_dead,
    refuse_unless_terminal,
    replay_draft,
    run_has_ended,
)

_CANCEL_IF_LIVE = query("live_runs/cancel_if_live")
_TELL_RETRIED = query("runs/tell_retried")
_CLEAR_DEAD_LETTERS = query("runs/clear_dead_letters")
_FIND_KEYS = query("runs/find_keys")


class PostgresRunControl:
    """See `rota.ports.run_store.RunControl`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def cancel_if_live(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Run:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            state: str | None = None
            if is_uuid(run_id):
                state = await connection.fetchval(
                    _CANCEL_IF_LIVE,
                    tenant_id,
                    run_id,
                    audit.actor,
                    audit.verb,
                    audit.resource,
                    audit.resource_id,
                    audit.request_id,
                )
            run = await read_run(connection, tenant_id, run_id)
        if state is None:
            raise run_has_ended(run)
        return run

    async def clone_if_terminal(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Run:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            run = await read_run(connection, tenant_id, run_id)
            refuse_unless_terminal(run)
            (clone,) = await clone_once(connection, [run], audit)
            if not clone.created:
                (clone,) = await store_drafts(connection, tenant_id, [clone_draft(run, audit.actor)], None)
                await connection.execute(_TELL_RETRIED, tenant_id, [run_id], [clone.run_id], audit.actor)
            return await read_run(connection, tenant_id, clone.run_id)

    async def replay_if_dead(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Enqueued:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            run = await read_run(connection, tenant_id, run_id)
            known = await connection.fetch(_FIND_KEYS, tenant_id, [replay_key(tenant_id, run_id)])
            refuse_unless_dead(run, was_replayed=bool(known))
            if known:
                return Enqueued(RunId(known[0]["run_id"]), created=False)
            (clone,) = await clone_once(connection, [run], audit)
            return clone


async def clone_once(
    connection: Connection, runs: Sequence[Run], audit: AuditEntry, *, audited: bool = True
) -> tuple[Enqueued, ...]:
    """Inside a transaction of the tenant's: a clone of each run that has none yet; of the others, the first one."""
    tenant_id = runs[0].tenant_id
    drafts = [replay_draft(run, audit.actor) for run in runs]
    clones = await store_drafts(connection, tenant_id, drafts, audit if audited else None)
    made = [(run.id, clone.run_id) for run, clone in zip(runs, clones, strict=True) if clone.created]
    await connection.execute(_CLEAR_DEAD_LETTERS, tenant_id, [run.id for run in runs])
    if made:
        run_ids, clone_ids = (list(ids) for ids in zip(*made, strict=True))
        await connection.execute(_TELL_RETRIED, tenant_id, run_ids, clone_ids, audit.actor)
    return clones
