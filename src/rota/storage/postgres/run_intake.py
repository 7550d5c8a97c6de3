"""New runs of one tenant, through the api login: any number of drafts in one statement, all stored or none.

Ids are made by the database from its own clock and follow the order of the drafts.
"""

from collections.abc import Sequence

from rota.domain.errors import Bug
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, RunDraft
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import draft_columns
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_ENQUEUE_DRAFTS = query("runs/enqueue_drafts")
_FIND_KEYS = query("runs/find_keys")


class PostgresRunIntake:
    """See `rota.ports.run_store.RunIntake`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def enqueue(self, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry) -> tuple[Enqueued, ...]:
        if not drafts:
            return ()
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                return await store_drafts(connection, tenant_id, drafts, audit)


async def store_drafts(
    connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry
) -> tuple[Enqueued, ...]:
    """Enqueue inside a transaction of the tenant's. Raises Bug for a draft of another tenant."""
    if any(draft.tenant_id != tenant_id for draft in drafts):
        raise Bug(f"a draft of another tenant among those of {tenant_id!r}")
    rows = await connection.fetch(
        _ENQUEUE_DRAFTS,
        tenant_id,
        *draft_columns(drafts),
        audit.actor,
        audit.verb,
        audit.resource,
        audit.resource_id,
        audit.request_id,
    )
    known = {draft.key for draft, row in zip(drafts, rows, strict=True) if draft.key is not None and not row["created"]}
    if not known:
        return tuple([Enqueued(row["run_id"], created=True) for row in rows])
    # A second look: its snapshot also sees keys that were committed while the insertion waited for them.
    owners = await _owners(connection, tenant_id, sorted(known))
    return tuple(_answer(draft, row, owners) for draft, row in zip(drafts, rows, strict=True))


async def _owners(connection: Connection, tenant_id: TenantId, keys: Sequence[str]) -> dict[str, str]:
    found = await connection.fetch(_FIND_KEYS, tenant_id, keys)
    return {row["key"]: row["run_id"] for row in found}


def _answer(draft: RunDraft, row: Row, owners: dict[str, str]) -> Enqueued:
    if row["created"]:
        return Enqueued(RunId(row["run_id"]), created=True)
    owner = owners.get(draft.key or "")
    if owner is None:
        raise Bug(f"run key {draft.key} is taken, but no run of the tenant has it")
    return Enqueued(RunId(owner), created=False)
