"""Evidence of one tenant, through the api login. What it makes due is planned in the transaction that records it."""

import asyncpg

from rota.domain.errors import Bug, not_found
from rota.domain.ids import TenantId
from rota.domain.milestone import Evidence
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry
from rota.storage.milestone_refusals import evidence_event, evidence_exists
from rota.storage.page_cursor import decode_cursor
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_SHARE_LOCK = query("evidence/share_lock")
_INSERT_IF_ABSENT = query("evidence/insert_if_absent")
_PLAN_MILESTONES = query("evidence/plan_milestones")
_READ_EVIDENCE = query("evidence/read_evidence")
_PAGE_EVIDENCE = query("evidence/page_evidence")


class PostgresEvidenceStore:
    """See `rota.ports.milestone_store.EvidenceStore`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def record_once(self, evidence: Evidence, audit: AuditEntry) -> tuple[Evidence, bool]:
        tenant_id = evidence.tenant_id
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await connection.execute(_SHARE_LOCK, tenant_id)
                recorded = await _insert(connection, evidence)
                if recorded is None:
                    return await _known(connection, evidence), False
                await refuse_revoked_tenant(connection, tenant_id)
                await connection.execute(
                    _PLAN_MILESTONES, tenant_id, recorded.kind, recorded.subject, recorded.occurred_at
                )
                await insert_events(connection, [evidence_event(recorded, audit)])
                await insert_audit(connection, tenant_id, audit)
        return recorded, True

    async def get(self, tenant_id: TenantId, kind: str, subject: str) -> Evidence:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                row = await connection.fetchrow(_READ_EVIDENCE, tenant_id, kind, subject)
        if row is None:
            raise not_found("evidence", f"{kind}/{subject}")
        return evidence_of_row(row)

    async def page(self, tenant_id: TenantId, kind: str | None, page: PageRequest) -> Page[Evidence]:
        after = ("", "") if page.cursor is None else decode_cursor(page.cursor, 2)
        offset = page.offset if page.cursor is None else 0
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                bounds = (page.limit + 1, offset, page.count_max)
                rows = await connection.fetch(_PAGE_EVIDENCE, tenant_id, kind, *after, *bounds)
        return page_of_rows(rows, page, evidence_of_row, lambda one: (one.kind, one.subject))


async def _insert(connection: Connection, evidence: Evidence) -> Evidence | None:
    """None where it is known."""
    try:
        row = await connection.fetchrow(
            _INSERT_IF_ABSENT,
            evidence.tenant_id,
            evidence.kind,
            evidence.subject,
            evidence.occurred_at,
            evidence.recorded_by,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", evidence.tenant_id) from error
    return None if row is None else evidence_of_row(row)


async def _known(connection: Connection, evidence: Evidence) -> Evidence:
    """A second look: its snapshot also sees what was committed while the insertion waited for it."""
    row = await connection.fetchrow(_READ_EVIDENCE, evidence.tenant_id, evidence.kind, evidence.subject)
    if row is None:
        raise Bug("evidence is recorded, but cannot be read")
    known = evidence_of_row(row)
    if known.occurred_at != evidence.occurred_at:
        raise evidence_exists(known)
    return known


def evidence_of_row(row: Row) -> Evidence:
    return Evidence(
        TenantId(row["tenant_id"]),
        row["kind"],
        row["subject"],
        row["occurred_at"],
        row["recorded_at"],
        row["recorded_by"],
    )
