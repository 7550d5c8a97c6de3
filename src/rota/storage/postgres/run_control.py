"""Cancelling and retrying a tenant's runs, through the api login, each with its event and audit in one transaction."""

from rota.domain.ids import RunId, TenantId
from rota.domain.run import Run
from rota.domain.tenancy import AuditEntry
from rota.storage.page_cursor import is_uuid
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_intake import store_drafts
from rota.storage.postgres.run_reading import read_run
from rota.storage.run_refusals import clone_draft, refuse_unless_terminal, run_has_ended

_CANCEL_IF_LIVE = query("live_runs/cancel_if_live")
_TELL_RETRIED = query("runs/tell_retried")


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
            (clone,) = await store_drafts(connection, tenant_id, [clone_draft(run, audit.actor)], audit)
            await connection.execute(_TELL_RETRIED, tenant_id, run_id, audit.actor, clone.run_id)
            return await read_run(connection, tenant_id, clone.run_id)
