"""The audit trail: who did what to which object, written in the transaction of the change."""

from rota.domain.ids import TenantId
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.query_files import query

_INSERT_ENTRY = query("audit/insert_entry")


async def insert_audit(connection: Connection, tenant_id: TenantId | None, entry: AuditEntry) -> None:
    """Inside the caller's transaction. `tenant_id` None is the platform's."""
    await connection.execute(
        _INSERT_ENTRY, tenant_id, entry.actor, entry.verb, entry.resource, entry.resource_id, entry.request_id
    )
