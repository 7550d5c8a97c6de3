"""Signing secrets in memory: the oracle of `rota.storage.postgres.signing_secrets`."""

from collections.abc import Sequence

from msgspec import structs

from rota.domain.errors import not_found
from rota.domain.ids import SigningSecretId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.signing import SigningSecret
from rota.domain.tenancy import AuditEntry
from rota.ports.signing_store import SecretName
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import page_of
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_id_cursor
from rota.storage.signing_refusals import refuse_beyond_bounds, secret_event


class MemorySigningSecretStore:
    """See `rota.ports.signing_store`: both of its ports."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._tables = database.signing_state

    async def create(self, secret: SigningSecret, key: bytes, audit: AuditEntry) -> SigningSecret:
        open_tenant(self._database, secret.tenant_id)
        live = [one for one in self._of(secret.tenant_id) if one.retired_at is None]
        refuse_beyond_bounds(secret.name, sum(one.name == secret.name for one in live), len(live))
        made = structs.replace(secret, created_at=self._database.now())
        self._tables.secrets[made.id], self._tables.keys[made.id] = made, key
        self._record("SigningSecretCreated", made, audit)
        return made

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[SigningSecret]:
        after = None if page.cursor is None else decode_id_cursor(page.cursor, 1)
        return page_of(sorted(self._of(tenant_id), key=_position), _position, page, after)

    async def retire(self, tenant_id: TenantId, secret_id: SigningSecretId, audit: AuditEntry) -> SigningSecret:
        found = self._tables.secrets.get(secret_id)
        if found is None or found.tenant_id != tenant_id:
            raise not_found("signing secret", secret_id)
        if found.retired_at is not None:
            return found
        retired = structs.replace(found, retired_at=self._database.now())
        self._tables.secrets[secret_id] = retired
        del self._tables.keys[secret_id]
        self._record("SigningSecretRetired", retired, audit)
        return retired

    async def live_keys(self, names: Sequence[SecretName]) -> dict[SecretName, tuple[bytes, ...]]:
        found: dict[SecretName, tuple[bytes, ...]] = {}
        for one in sorted(self._tables.secrets.values(), key=_position, reverse=True):
            name = (one.tenant_id, one.name)
            if one.retired_at is None and name in names:
                found[name] = (*found.get(name, ()), self._tables.keys[one.id])
        return found

    def _of(self, tenant_id: TenantId) -> list[SigningSecret]:
        return [one for one in self._tables.secrets.values() if one.tenant_id == tenant_id]

    def _record(self, event_type: str, secret: SigningSecret, audit: AuditEntry) -> None:
        self._database.record_events([secret_event(event_type, secret, audit)])
        self._database.record_audit(secret.tenant_id, audit)


def _position(secret: SigningSecret) -> tuple[str]:
    return (secret.id,)
