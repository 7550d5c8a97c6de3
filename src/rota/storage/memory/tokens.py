"""API tokens in memory: the oracle of `rota.storage.postgres.tokens`."""

from msgspec import structs

from rota.domain.errors import Bug, not_found
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId, TokenId
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import ApiToken, AuditEntry, Principal
from rota.storage.memory.database import MemoryDatabase, StoredToken
from rota.storage.memory.paging import page_of
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_id_cursor


class MemoryTokenStore:
    """See `rota.ports.tenant_store.TokenStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def create(self, token: ApiToken, secret_hash: bytes, audit: AuditEntry) -> ApiToken:
        open_tenant(self._database, token.tenant_id)
        if any(token.id == known or stored.secret_hash == secret_hash for known, stored in self._tokens()):
            raise Bug("a token's id or secret was given out twice")
        self._database.tokens[token.id] = StoredToken(token, secret_hash)
        self._record("TokenCreated", token, audit)
        return token

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[ApiToken]:
        after = None if page.cursor is None else decode_id_cursor(page.cursor, 1)
        found = [stored.token for _, stored in self._tokens() if stored.token.tenant_id == tenant_id]
        return page_of(sorted(found, key=_position), _position, page, after)

    async def revoke(self, tenant_id: TenantId, token_id: TokenId, audit: AuditEntry) -> ApiToken:
        stored = self._database.tokens.get(token_id)
        if stored is None or stored.token.tenant_id != tenant_id:
            raise not_found("token", token_id)
        if stored.token.revoked_at is not None:
            return stored.token
        revoked = structs.replace(stored.token, revoked_at=self._database.now())
        self._database.tokens[token_id] = StoredToken(revoked, stored.secret_hash)
        self._record("TokenRevoked", revoked, audit)
        return revoked

    async def authenticate(self, secret_hash: bytes) -> Principal | None:
        token = next((stored.token for _, stored in self._tokens() if stored.secret_hash == secret_hash), None)
        if token is None or token.revoked_at is not None:
            return None
        if token.expires_at is not None and token.expires_at <= self._database.now():
            return None
        if self._database.tenants[token.tenant_id].revoked_at is not None:
            return None
        return Principal(token.id, token.name, token.tenant_id, token.role)

    def _tokens(self) -> list[tuple[TokenId, StoredToken]]:
        return list(self._database.tokens.items())

    def _record(self, event_type: str, token: ApiToken, audit: AuditEntry) -> None:
        self._database.record_events([EventDraft(event_type, token.tenant_id, token.id, audit.actor)])
        self._database.record_audit(token.tenant_id, audit)


def _position(token: ApiToken) -> tuple[str]:
    return (token.id,)
