"""API tokens, through the api login and its tenant's row-level security; `authenticate` asks without a tenant.

Only hashes of secrets come here. The look-up by hash is a function of the schema that runs as its owner and answers for
a token that is valid now, by the store's clock.
"""

import asyncpg

from rota.domain.errors import Bug, not_found
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId, TokenId
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import ApiToken, AuditEntry, Principal
from rota.storage.page_cursor import decode_id_cursor, is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.tenants import refuse_revoked_tenant
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_INSERT_TOKEN = query("tokens/insert_token")
_PAGE_TOKENS = query("tokens/page_tokens")
_LOCK_TOKEN = query("tokens/lock_token")
_REVOKE_LOCKED = query("tokens/revoke_locked")
_AUTHENTICATE_HASH = query("tokens/authenticate_hash")

_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


class PostgresTokenStore:
    """See `rota.ports.tenant_store.TokenStore`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def create(self, token: ApiToken, secret_hash: bytes, audit: AuditEntry) -> ApiToken:
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, token.tenant_id) as connection:
                await _insert(connection, token, secret_hash)
                await refuse_revoked_tenant(connection, token.tenant_id)
                await _record(connection, "TokenCreated", token, audit)
        return token

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[ApiToken]:
        (after,) = (_BEFORE_ALL,) if page.cursor is None else decode_id_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_PAGE_TOKENS, tenant_id, after, page.limit + 1, offset)
        return page_of_rows(rows, page, _token, lambda token: (token.id,))

    async def revoke(self, tenant_id: TenantId, token_id: TokenId, audit: AuditEntry) -> ApiToken:
        if not is_uuid(token_id):
            raise not_found("token", token_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            row = await connection.fetchrow(_LOCK_TOKEN, tenant_id, token_id)
            if row is None:
                raise not_found("token", token_id)
            if row["revoked_at"] is None:
                row = await connection.fetchrow(_REVOKE_LOCKED, tenant_id, token_id)
                assert row is not None, "the token's row is locked"
                await _record(connection, "TokenRevoked", _token(row), audit)
            return _token(row)

    async def authenticate(self, secret_hash: bytes) -> Principal | None:
        async with transaction(self._pool, readonly=True, doing="authenticating") as connection:
            row = await connection.fetchrow(_AUTHENTICATE_HASH, secret_hash)
        if row is None:
            return None
        return Principal(TokenId(str(row["token_id"])), row["name"], row["tenant_id"], row["role"])


async def _insert(connection: Connection, token: ApiToken, secret_hash: bytes) -> None:
    try:
        await connection.execute(
            _INSERT_TOKEN,
            token.id,
            token.tenant_id,
            token.name,
            token.role,
            token.hint,
            secret_hash,
            token.created_at,
            token.created_by,
            token.expires_at,
            token.revoked_at,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", token.tenant_id) from error
    except asyncpg.UniqueViolationError as error:
        raise Bug("a token's id or secret was given out twice") from error


async def _record(connection: Connection, event_type: str, token: ApiToken, audit: AuditEntry) -> None:
    await insert_events(connection, [EventDraft(event_type, token.tenant_id, token.id, audit.actor)])
    await insert_audit(connection, token.tenant_id, audit)


def _token(row: Row) -> ApiToken:
    return ApiToken(
        id=TokenId(str(row["id"])),
        tenant_id=row["tenant_id"],
        name=row["name"],
        role=row["role"],
        hint=row["hint"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
