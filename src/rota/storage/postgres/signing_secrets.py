"""Signing secrets, through the api login, which can write keys and not read them; for workers their keys, through the
service login.
"""

from collections.abc import Sequence

import asyncpg

from rota.domain.errors import Bug, not_found
from rota.domain.ids import SigningSecretId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.signing import SigningSecret
from rota.domain.tenancy import AuditEntry
from rota.ports.signing_store import SecretName
from rota.storage.page_cursor import decode_id_cursor, is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text
from rota.storage.signing_refusals import refuse_beyond_bounds, secret_event

_LOCK_NAMES = query("signing_secrets/lock_names")
_COUNT_LIVE = query("signing_secrets/count_live")
_INSERT_SECRET = query("signing_secrets/insert_secret")
_PAGE_SECRETS = query("signing_secrets/page_secrets")
_READ_SECRET = query("signing_secrets/read_secret")
_RETIRE_IF_LIVE = query("signing_secrets/retire_if_live")
_LIST_LIVE_KEYS = query("signing_secrets/list_live_keys")

_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


class PostgresSigningSecretStore:
    """See `rota.ports.signing_store.SigningSecretStore`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def create(self, secret: SigningSecret, key: bytes, audit: AuditEntry) -> SigningSecret:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, secret.tenant_id) as connection:
                await connection.execute(_LOCK_NAMES, secret.tenant_id)
                live = await connection.fetchrow(_COUNT_LIVE, secret.tenant_id, secret.name)
                assert live is not None, "a count is a row"
                refuse_beyond_bounds(secret.name, live["of_name_count"], live["of_tenant_count"])
                made = await _insert(connection, secret, key)
                await refuse_revoked_tenant(connection, secret.tenant_id)
                await _record(connection, "SigningSecretCreated", made, audit)
        return made

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[SigningSecret]:
        (after,) = (_BEFORE_ALL,) if page.cursor is None else decode_id_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_PAGE_SECRETS, tenant_id, after, page.limit + 1, offset)
        return page_of_rows(rows, page, _secret, lambda secret: (secret.id,))

    async def retire(self, tenant_id: TenantId, secret_id: SigningSecretId, audit: AuditEntry) -> SigningSecret:
        if not is_uuid(secret_id):
            raise not_found("signing secret", secret_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            row = await connection.fetchrow(_RETIRE_IF_LIVE, tenant_id, secret_id)
            if row is not None:
                await _record(connection, "SigningSecretRetired", _secret(row), audit)
                return _secret(row)
            row = await connection.fetchrow(_READ_SECRET, tenant_id, secret_id)
        if row is None:
            raise not_found("signing secret", secret_id)
        return _secret(row)


class PostgresSigningKeys:
    """See `rota.ports.signing_store.SigningKeys`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def live_keys(self, names: Sequence[SecretName]) -> dict[SecretName, tuple[bytes, ...]]:
        tenants, wanted = [tenant_id for tenant_id, _ in names], [name for _, name in names]
        rows = await self._statements.fetch("reading signing keys", _LIST_LIVE_KEYS, tenants, wanted)
        found: dict[SecretName, tuple[bytes, ...]] = {}
        for row in rows:
            name = (TenantId(row["tenant_id"]), str(row["name"]))
            found[name] = (*found.get(name, ()), row["key"])
        return found


async def _insert(connection: Connection, secret: SigningSecret, key: bytes) -> SigningSecret:
    try:
        row = await connection.fetchrow(
            _INSERT_SECRET, secret.id, secret.tenant_id, secret.name, key, secret.created_by
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", secret.tenant_id) from error
    if row is None:
        raise Bug("an insertion gives its row")
    return _secret(row)


async def _record(connection: Connection, event_type: str, secret: SigningSecret, audit: AuditEntry) -> None:
    await insert_events(connection, [secret_event(event_type, secret, audit)])
    await insert_audit(connection, secret.tenant_id, audit)


def _secret(row: Row) -> SigningSecret:
    return SigningSecret(
        SigningSecretId(str(row["id"])),
        TenantId(row["tenant_id"]),
        row["name"],
        row["created_at"],
        row["created_by"],
        row["retired_at"],
    )
